using System.Buffers;
using Fairlead.Pipeline;
using Fairlead.Policies.Matching;

namespace Fairlead.Policies.Checking;

/// <summary>What the client of a call gets back of what was redacted in its request.</summary>
/// <param name="Placeholders">What stands for what.</param>
/// <param name="IsDocument">Whether the text of the model is a JSON document.</param>
internal sealed record Originals(Placeholders Placeholders, bool IsDocument)
{
    /// <summary>Null for almost all calls: nothing is restored.</summary>
    public static Originals? Of(GatewayCall call) => call.Policy is { Placeholders: { HasRestorable: true } placeholders }
        ? new Originals(placeholders, OutputKinds.Of(call, Channel.Text) == ChannelKind.Json) : null;

    /// <summary>Writes a response, or events of it, with the originals.</summary>
    public void Restore(ReadOnlySpan<byte> response, IBufferWriter<byte> output) =>
        RestoredJson.Write(response, Placeholders, IsDocument, output);

    /// <summary>A response with the originals.</summary>
    public ReadOnlyMemory<byte> Restore(ReadOnlySpan<byte> response)
    {
        var output = new ArrayBufferWriter<byte>(response.Length + 256);
        Restore(response, output);
        return output.WrittenMemory;
    }
}
