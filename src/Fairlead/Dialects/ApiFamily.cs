namespace Fairlead.Dialects;

/// <summary>The vendor whose public API a dialect belongs to.</summary>
internal enum ApiFamily
{
    OpenAi,
    Anthropic,
}
