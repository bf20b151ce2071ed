using System.Globalization;
using Fairlead.Catalogue;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.TokenCounting;

namespace Fairlead.Pipeline;

/// <summary>One try at one deployment.</summary>
internal sealed class Attempt(string id, int number, Deployment deployment)
{
    /// <summary>
    /// <c>att_</c>, the ULID of the generation, <c>_</c> and the number; after the first run, the number of the run is before it. The key
    /// of the attempt in the spool.
    /// </summary>
    public string Id { get; } = id;

    /// <summary>The id of the attempt of a call with this number.</summary>
    public static string IdOf(GatewayCall call, int number) => call.Run <= 1
        ? string.Create(CultureInfo.InvariantCulture, $"att_{UlidOf(call.GenerationId)}_{number}")
        : string.Create(CultureInfo.InvariantCulture, $"att_{UlidOf(call.GenerationId)}_{call.Run}_{number}");

    private static ReadOnlySpan<char> UlidOf(string generationId) =>
        generationId.AsSpan(generationId.IndexOf('_', StringComparison.Ordinal) + 1);

    /// <summary>From 1.</summary>
    public int Number { get; } = number;

    public Deployment Deployment { get; } = deployment;

    /// <summary>What is known of the output. An attempt that shows the output of another one has that one's meter.</summary>
    public OutputMeter Meter { get; init; } = new();

    /// <summary>Counts the memory of its response; null to count nothing.</summary>
    public Memory.MemoryBudget? Memory { get; init; }

    /// <summary>Timestamp of the start.</summary>
    public long StartedAt { get; set; }

    /// <summary>Timestamp of the first content of a stream; 0 while there is none, and for whole responses.</summary>
    public long FirstTokenAt { get; set; }

    /// <summary>Timestamps for which its stream waited for the provider after the first content.</summary>
    public long StreamWaitTicks { get; set; }

    /// <summary>Id of the provider's key with which it was sent; 0 for none.</summary>
    public int KeyId { get; set; }

    /// <summary>Receives what the provider reports about its own limits; null to ignore it.</summary>
    public Scheduling.Quotas.ProviderQuota? Quota { get; init; }

    public TimeSpan Duration { get; set; }

    /// <summary>Ticks of the call's clock until a new connection was open; 0 if an open one was used.</summary>
    public long ConnectTicks { get; set; }

    /// <summary>complete, failed, cancelled and so on, as on the wire; null while the attempt runs.</summary>
    public string? Outcome { get; set; }

    public GatewayError? Error { get; set; }

    /// <summary>HTTP status of the provider; null if it sent none.</summary>
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

    /// <summary>Called when the attempt is sent, for a delivery that starts then.</summary>
    public Action? Sending { get; init; }

    /// <summary>Tokens of input beyond the request of the call: of the text that it continues.</summary>
    public long ExtraInput { get; init; }

    /// <summary>Final, set when the attempt ends.</summary>
    public Usage Usage { get; set; }

    /// <summary>
    /// What the attempt is charged if its request served several calls: its share of the usage. Null if all of the usage is its own.
    /// </summary>
    public Usage? Share { get; set; }

    /// <summary>Why <see cref="Usage"/> is not what the provider reported.</summary>
    public UsageDoubt UsageDoubt { get; set; }

    /// <summary>Final, set when the attempt ends.</summary>
    public Cost Cost { get; set; }

    /// <summary>Reports its end to the health of its deployment. Only for routing.</summary>
    public Routing.HealthTicket Health { get; set; }

    /// <summary>Why it was made where it was made: one of <see cref="Routing.AttemptReasons"/> or a strategy.</summary>
    public string? Reason { get; set; }

    /// <summary>Whether the provider rejected the key, and has another one that was not rejected: the same request may be sent again.</summary>
    public bool HasOtherKey { get; set; }

    /// <summary>The request that serves other calls too; null if it serves this call only.</summary>
    public SharedRequest? SharedRequest { get; set; }

    /// <summary>Whether it reports the end of its request to the health of its deployment; false if another attempt of the request does.</summary>
    public bool TryReport() => SharedRequest?.TryReport(this) ?? true;

    /// <summary>Only for telemetry: the client span, if there is a listener.</summary>
    public System.Diagnostics.Activity? Span { get; set; }

    /// <summary>Only for telemetry: whether the attempt was measured.</summary>
    public bool Measured { get; set; }
}
