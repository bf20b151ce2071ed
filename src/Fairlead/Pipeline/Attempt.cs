using Fairlead.Catalogue;
using Fairlead.Errors;
using Fairlead.Ledger;

namespace Fairlead.Pipeline;

/// <summary>One try at one deployment.</summary>
internal sealed class Attempt(string id, int number, Deployment deployment)
{
    /// <summary><c>att_</c> + ULID; the key under which the spool knows it.</summary>
    public string Id { get; } = id;

    /// <summary>From 1.</summary>
    public int Number { get; } = number;

    public Deployment Deployment { get; } = deployment;

    public AnswerMeter Meter { get; } = new();

    /// <summary>Timestamp of the start.</summary>
    public long StartedAt { get; set; }

    public TimeSpan Duration { get; set; }

    /// <summary>Ticks of the call's clock until a new connection stood; 0 when it went over one that was open.</summary>
    public long ConnectTicks { get; set; }

    /// <summary>complete, failed, cancelled …: the wire's word, null while it runs.</summary>
    public string? Outcome { get; set; }

    public GatewayError? Error { get; set; }

    /// <summary>HTTP status of the provider, where there was one.</summary>
    public int? UpstreamStatus { get; set; }

    /// <summary>Whether bytes may have reached the provider, so that it may charge.</summary>
    public bool Sent
    {
        get;
        set
        {
            field = value;
            if (value) Sending?.Invoke();
        }
    }

    /// <summary>Told when the attempt is on its way, for a delivery that begins then.</summary>
    public Action? Sending { get; init; }

    /// <summary>Final, set when the attempt ends.</summary>
    public Usage Usage { get; set; }

    /// <summary>Final, set when the attempt ends.</summary>
    public Cost Cost { get; set; }

    /// <summary>Telemetry's own: the client span, when somebody listens, and whether the attempt was measured.</summary>
    public System.Diagnostics.Activity? Span { get; set; }

    public bool Measured { get; set; }
}
