using System.Buffers;
using Fairlead.Pipeline;

namespace Fairlead.Dialects.AnthropicMessages;

/// <summary>
/// The client's own bytes for a provider with the same API. The model's name is replaced, and the <c>fairlead</c> member is removed.
/// Thinking without Anthropic's signature and blank texts of earlier responses are removed too, because Anthropic rejects them. Invalid
/// call ids of other servers are replaced.
/// </summary>
internal static class MessagesUpstreamBody
{
    private static readonly byte[] NoThinking = "{\"type\":\"disabled\"}"u8.ToArray();

    public static void Write(GatewayCall call, string upstreamModel, IBufferWriter<byte> output)
    {
        var facts = call.Facts;
        var foreign = facts.ForeignRanges;
        var edits = new BodyEdit[1 + (facts.ExtensionMemberRange.IsEmpty ? 0 : 1) + (foreign?.Count ?? 0) + (facts.ForeignIds?.Count ?? 0)
            + (facts.UnsignedThinking.IsEmpty ? 0 : 1)];
        edits[0] = new BodyEdit(facts.ModelRange, BodySplicer.Quote(upstreamModel));
        var count = 1;
        if (!facts.ExtensionMemberRange.IsEmpty) edits[count++] = new BodyEdit(facts.ExtensionMemberRange, default);
        for (var i = 0; i < foreign?.Count; i++) edits[count++] = new BodyEdit(foreign[i], default);
        foreach (var id in facts.ForeignIds ?? [])
        {
            var given = System.Text.Json.Nodes.JsonNode.Parse(call.Body.WrittenSpan.Slice(id.Start, id.Length))!.GetValue<string>();
            edits[count++] = new BodyEdit(id, BodySplicer.Quote(AnthropicToolIds.Fit(given)));
        }
        if (!facts.UnsignedThinking.IsEmpty)
        {
            edits[count++] = new BodyEdit(facts.UnsignedThinking, NoThinking);
            call.Warn("reasoning_omitted",
                "Thinking was disabled for this request: the last tool calls came from a model of another provider, whose thinking this "
                    + "provider cannot read.");
        }
        if (facts.CutsThinking) call.Warn("reasoning_omitted", "Thinking of another provider's model was not sent to this provider.");
        BodySplicer.Write(call.Body.WrittenSpan, edits, output);
    }
}
