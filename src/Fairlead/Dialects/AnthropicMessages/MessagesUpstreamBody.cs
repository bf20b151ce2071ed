using System.Buffers;
using Fairlead.Pipeline;

namespace Fairlead.Dialects.AnthropicMessages;

/// <summary>
/// The caller's own bytes for a provider that speaks the dialect: the model's name replaced, the <c>fairlead</c> member cut, and thinking that no
/// Anthropic model signed cut too, since it would be refused there, together with blank texts of earlier responses; ids of calls that another server made become fit. Everything else byte for byte.
/// </summary>
internal static class MessagesUpstreamBody
{
    private static readonly byte[] NoThinking = "{\"type\":\"disabled\"}"u8.ToArray();

    public static void Write(GatewayCall call, string upstreamModel, IBufferWriter<byte> output)
    {
        var facts = call.Facts;
        var foreign = facts.ForeignRanges;
        var edits = new BodyEdit[1 + (facts.ExtensionMemberRange.IsEmpty ? 0 : 1) + (foreign?.Count ?? 0) + (facts.ForeignIds?.Count ?? 0) + (facts.UnsignedThinking.IsEmpty ? 0 : 1)];
        edits[0] = new BodyEdit(facts.ModelRange, BodySplicer.Quote(upstreamModel));
        var count = 1;
        if (!facts.ExtensionMemberRange.IsEmpty) edits[count++] = new BodyEdit(facts.ExtensionMemberRange, default);
        for (var i = 0; i < foreign?.Count; i++) edits[count++] = new BodyEdit(foreign[i], default);
        foreach (var id in facts.ForeignIds ?? [])
        {
            var given = System.Text.Json.Nodes.JsonNode.Parse(call.Body.WrittenSpan.Slice(id.Start, id.Length))!.GetValue<string>();
            edits[count++] = new BodyEdit(id, BodySplicer.Quote(Providers.Anthropic.AnthropicPartWriter.FitId(given)));
        }
        if (!facts.UnsignedThinking.IsEmpty)
        {
            edits[count++] = new BodyEdit(facts.UnsignedThinking, NoThinking);
            call.Warn("reasoning_omitted", "The model was not asked to think: the last calls of tools were made by a model whose thinking this one's provider does not know.");
        }
        if (facts.CutsThinking) call.Warn("reasoning_omitted", "Thinking that another provider's model made was not sent to this one.");
        BodySplicer.Write(call.Body.WrittenSpan, edits, output);
    }
}
