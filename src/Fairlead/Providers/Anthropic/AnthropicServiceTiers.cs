namespace Fairlead.Providers.Anthropic;

/// <summary>Anthropic's words for the tier that served a message in OpenAI's, which the inner language speaks (CONTRACTS 1.1).</summary>
internal static class AnthropicServiceTiers
{
    public static string? Read(string? tier) => tier == "standard" ? "default" : tier;
}
