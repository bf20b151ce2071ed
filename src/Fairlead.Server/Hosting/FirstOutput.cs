using Fairlead.Authentication;

namespace Fairlead.Server.Hosting;

/// <summary>What the start prints: all of it the first time, a line afterwards.</summary>
internal static class FirstOutput
{
    public static string For(string version, string address, FirstStartKeys? keys) => keys is null
        ? $"Fairlead {version} listens on {address} · docs at {address}/docs\n"
        : $$"""

            Fairlead {{version}} listens on {{address}}

              Admin key    {{keys.AdminKey ?? "the one in FAIRLEAD_ADMIN_KEY"}}
              Client key   {{keys.ClientKey}}

            Keep {{(keys.AdminKey is null ? "it: it is" : "them: they are")}} shown this once. Your first call:

              curl {{address}}/v1/chat/completions \
                -H "Authorization: Bearer {{keys.ClientKey}}" \
                -H "Content-Type: application/json" \
                -d '{"model": "sim-fast", "messages": [{"role": "user", "content": "Hello"}]}'

            sim-fast is simulated. Real models: set OPENAI_API_KEY, ANTHROPIC_API_KEY or GEMINI_API_KEY and start again.
            Documentation: {{address}}/docs


            """.ReplaceLineEndings("\n");

    /// <summary>An address one can type: any-address becomes this machine's own.</summary>
    public static string Reachable(string address) => address
        .Replace("//0.0.0.0", "//127.0.0.1", StringComparison.Ordinal)
        .Replace("//[::]", "//127.0.0.1", StringComparison.Ordinal)
        .Replace("//*", "//127.0.0.1", StringComparison.Ordinal)
        .Replace("//+", "//127.0.0.1", StringComparison.Ordinal)
        .TrimEnd('/');
}
