using System.Buffers;
using Fairlead.Pipeline;

namespace Fairlead.Dialects.AnthropicMessages;

/// <summary>
/// The caller's own bytes for a provider that speaks the dialect: the model's name replaced, the <c>fairlead</c> member cut, and thinking that no
/// Anthropic model signed cut too, since it would be refused there. Everything else byte for byte.
/// </summary>
internal static class MessagesUpstreamBody
{
    public static void Write(GatewayCall call, string upstreamModel, IBufferWriter<byte> output)
    {
        var facts = call.Facts;
        var foreign = facts.ForeignRanges;
        var edits = new BodyEdit[1 + (facts.ExtensionMemberRange.IsEmpty ? 0 : 1) + (foreign?.Count ?? 0)];
        edits[0] = new BodyEdit(facts.ModelRange, BodySplicer.Quote(upstreamModel));
        var count = 1;
        if (!facts.ExtensionMemberRange.IsEmpty) edits[count++] = new BodyEdit(facts.ExtensionMemberRange, default);
        for (var i = 0; i < foreign?.Count; i++) edits[count++] = new BodyEdit(foreign[i], default);
        if (foreign is not null) call.Warn("reasoning_omitted", "Thinking that another provider's model made was not sent to this one.");
        BodySplicer.Write(call.Body.WrittenSpan, edits, output);
    }
}
