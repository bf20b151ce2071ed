using System.Buffers;
using Fairlead.Conversation;
using Fairlead.Dialects.Quirks;
using Fairlead.Pipeline;
using Fairlead.TokenCounting;

namespace Fairlead.Dialects.OpenAiEmbeddings;

/// <summary>Embeddings at a provider with OpenAI's API.</summary>
internal sealed class EmbeddingsWire : NativeWire
{
    /// <summary>Path of the endpoint below the provider's base address.</summary>
    public const string Path = "/embeddings";

    public override ApiFamily Family => ApiFamily.OpenAi;

    public override string UpstreamPath => Path;

    public override void WriteBody(GatewayCall call, string upstreamModel, in NativeBodyOptions options, IBufferWriter<byte> output)
    {
        var facts = call.Facts;
        Span<BodyEdit> edits =
        [
            new BodyEdit(facts.ModelRange, BodySplicer.Quote(upstreamModel)),
            new BodyEdit(facts.ExtensionMemberRange, default),
        ];
        BodySplicer.Write(call.Body.WrittenSpan, facts.ExtensionMemberRange.IsEmpty ? edits[..1] : edits, output);
    }

    public override bool TryScan(RequestFacts facts, ReadOnlySpan<byte> body, OutputMeter meter, out byte[]? repaired)
    {
        repaired = EmbeddingsNormaliser.Repair(body, facts.MessageCount, out var vectors);
        // With a different number of vectors, it is unknown which text lacks its vector.
        if (vectors != facts.MessageCount) return false;
        var scan = EmbeddingsResponseScan.Of(repaired ?? body, base64: null);
        if (!scan.IsValid) return false;
        meter.UpstreamModel = scan.ModelName;
        if (scan.Usage is { } usage) meter.ReportUsage(usage);
        meter.AddOutput(0);
        meter.Finish(FinishReason.Stop, 0);
        return true;
    }
}
