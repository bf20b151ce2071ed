using System.Globalization;
using Fairlead.Catalogue;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.TokenCounting;

namespace Fairlead.Pipeline;

/// <summary>One try at one deployment.</summary>
internal sealed class Attempt(string id, int number, Deployment deployment)
{
    /// <summary><c>att_</c>, then what its call's audit record has behind its own prefix, <c>_</c> and the number; the key under which the spool knows it.</summary>
    public string Id { get; } = id;

    /// <summary>The id of a call's attempt with that number.</summary>
    public static string IdOf(GatewayCall call, int number) => call.Run <= 1
        ? string.Create(CultureInfo.InvariantCulture, $"att_{Bare(call.GenerationId)}_{number}")
        : string.Create(CultureInfo.InvariantCulture, $"att_{Bare(call.GenerationId)}_{call.Run}_{number}");

    private static ReadOnlySpan<char> Bare(string generationId) => generationId.AsSpan(generationId.IndexOf('_', StringComparison.Ordinal) + 1);

    /// <summary>From 1.</summary>
    public int Number { get; } = number;

    public Deployment Deployment { get; } = deployment;

    public OutputMeter Meter { get; } = new();

    /// <summary>Counts what is held of its response; null where nothing is counted.</summary>
    public Memory.MemoryBudget? Memory { get; init; }

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

    /// <summary>Why <see cref="Usage"/> is not what the provider reported.</summary>
    public UsageDoubt UsageDoubt { get; set; }

    /// <summary>Final, set when the attempt ends.</summary>
    public Cost Cost { get; set; }

    /// <summary>Telemetry's own: the client span, when somebody listens, and whether the attempt was measured.</summary>
    public System.Diagnostics.Activity? Span { get; set; }

    public bool Measured { get; set; }
}
