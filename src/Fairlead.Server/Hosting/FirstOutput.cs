using Fairlead.Access;

namespace Fairlead.Server.Hosting;

/// <summary>The output of a start: everything the first time, one line afterwards.</summary>
internal static class FirstOutput
{
    /// <param name="version">Version of the program.</param>
    /// <param name="address">The address on which it listens.</param>
    /// <param name="settings">Lines that state the settings of this start.</param>
    /// <param name="keys">Keys to show; null when there are none.</param>
    public static string For(string version, string address, string settings, FirstStartKeys? keys) => keys is null
        ? $"Fairlead {version} listens on {address} · docs at {address}/docs\n{settings}"
        : $$"""

            Fairlead {{version}} listens on {{address}}

            {{settings}}
              Admin key    {{keys.AdminKey ?? "the one in FAIRLEAD_ADMIN_KEY"}}
              Client key   {{keys.ClientKey ?? "the one in FAIRLEAD_CLIENT_KEY"}}

            {{(keys is { AdminKey: null } or { ClientKey: null } ? "Store it now: it is" : "Store them now: they are")}} shown only once. Your first call:

              curl {{address}}/v1/chat/completions \
                -H "Authorization: Bearer {{keys.ClientKey ?? "$FAIRLEAD_CLIENT_KEY"}}" \
                -H "Content-Type: application/json" \
                -d '{"model": "sim-fast", "messages": [{"role": "user", "content": "Hello"}]}'

            sim-fast is simulated. Real models: set OPENAI_API_KEY, ANTHROPIC_API_KEY or GEMINI_API_KEY and start again.
            Documentation: {{address}}/docs


            """.ReplaceLineEndings("\n");

    /// <summary>An address that a user can type: the any-address becomes localhost.</summary>
    public static string Reachable(string address) => address
        .Replace("//0.0.0.0", "//127.0.0.1", StringComparison.Ordinal)
        .Replace("//[::]", "//127.0.0.1", StringComparison.Ordinal)
        .Replace("//*", "//127.0.0.1", StringComparison.Ordinal)
        .Replace("//+", "//127.0.0.1", StringComparison.Ordinal)
        .TrimEnd('/');
}
