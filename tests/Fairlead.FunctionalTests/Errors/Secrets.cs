namespace Fairlead.FunctionalTests.Errors;

/// <summary>What must never reach a caller, planted wherever a careless gateway would copy from.</summary>
internal static class Secrets
{
    public const string UpstreamKey = "sk-upstream-c0ffee1234567890secret";
    public const string OtherKey = "AKIA5XAMPLE7PLANTED9";
    public const string Host = "llm-worker-17.corp.internal";
    public const string Address = "10.20.30.40";
    public const string File = "/srv/inference/secrets/engine.py";
    public const string Trace = "at Acme.Inference.Engine.RunAsync";
    public const string Prompt = "SYSTEM-PROMPT-WORDS-OF-ANOTHER-TENANT";

    public static readonly string[] All = [UpstreamKey, OtherKey, Host, Address, File, Trace, Prompt];

    /// <summary>One text that holds them all, as a broken server's error would.</summary>
    public const string Text = $"Request to https://{Host}:8443/v1 ({Address}) with key {UpstreamKey} / {OtherKey} failed: prompt '{Prompt}' {Trace}() in {File}:line 42";
}
