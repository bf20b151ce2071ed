namespace Fairlead.Providers.Anthropic;

/// <summary>Maps Anthropic's service tiers to OpenAI's, which the canonical model uses.</summary>
internal static class AnthropicServiceTiers
{
    public static string? Read(string? tier) => tier == "standard" ? "default" : tier;
}
