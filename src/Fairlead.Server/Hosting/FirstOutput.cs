using Fairlead.Access;

namespace Fairlead.Server.Hosting;

/// <summary>What the start prints: all of it the first time, a line afterwards.</summary>
internal static class FirstOutput
{
    /// <param name="version">Of the program.</param>
    /// <param name="address">Where it listens.</param>
    /// <param name="settings">Lines that say what this start uses.</param>
    /// <param name="keys">Keys to show; null when there are none.</param>
    public static string For(string version, string address, string settings, FirstStartKeys? keys) => keys is null
        ? $"Fairlead {version} listens on {address} · docs at {address}/docs\n{settings}"
        : $$"""

            Fairlead {{version}} listens on {{address}}

            {{settings}}
              Admin key    {{keys.AdminKey ?? "the one in FAIRLEAD_ADMIN_KEY"}}
              Client key   {{keys.ClientKey ?? "the one in FAIRLEAD_CLIENT_KEY"}}

            {{(keys is { AdminKey: null } or { ClientKey: null } ? "Keep it: it is" : "Keep them: they are")}} shown this once. Your first call:

              curl {{address}}/v1/chat/completions \
                -H "Authorization: Bearer {{keys.ClientKey ?? "$FAIRLEAD_CLIENT_KEY"}}" \
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
