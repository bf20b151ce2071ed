using System.Buffers;
using Fairlead.Dialects.Quirks;
using Fairlead.Pipeline;
using Fairlead.TokenCounting;

namespace Fairlead.Dialects.OpenAiChat;

/// <summary>Chat completions at a provider with OpenAI's API.</summary>
internal sealed class ChatWire : NativeWire
{
    /// <summary>Path of the endpoint below the provider's base address.</summary>
    public const string Path = "/chat/completions";

    public override ApiFamily Family => ApiFamily.OpenAi;

    public override string UpstreamPath => Path;

    public override bool UsesStreamOptions => true;

    public override NativeStreams Streams { get; } = new ChatStreams();

    public override INativeOutput Output => ChatOutput.Instance;

    public override void WriteBody(GatewayCall call, string upstreamModel, in NativeBodyOptions options, IBufferWriter<byte> output) =>
        UpstreamBody.Write(call, upstreamModel, options, output, isChat: true);

    public override bool TryScan(RequestFacts facts, ReadOnlySpan<byte> body, OutputMeter meter, out byte[]? repaired) =>
        TryScan(body, isChat: true, meter, out repaired);

    /// <summary>Repairs and scans a response of OpenAI's two generation endpoints.</summary>
    internal static bool TryScan(ReadOnlySpan<byte> body, bool isChat, OutputMeter meter, out byte[]? repaired)
    {
        repaired = null;
        if (!OpenAiResponseScanner.TryScan(body, wantModel: true, out var found)) return false;
        // One scan serves both: a body without quirks, the usual case, is not read again.
        if (ChatNormaliser.MayNeedRepair(found, isChat) && ChatNormaliser.Repair(body, isChat, meter.CreatedAt, meter) is { } better)
        {
            repaired = better;
            if (!OpenAiResponseScanner.TryScan(better, wantModel: true, out found)) return false;
        }
        if (found.IsError || found.Choices == 0 || found.LacksBody) return false;
        meter.FailedReason = found.FailedReason;
        if (found.FailedReason is not null) return false;
        found.Report(meter);
        return true;
    }
}
