using System.Buffers;
using System.Text.Json;
using Fairlead.Pipeline;

namespace Fairlead.Dialects.OpenAiChat;

/// <summary>The client's bytes for a provider of the same dialect (both OpenAI generation endpoints).</summary>
internal static class UpstreamBody
{
    private const int DefaultMaxTokensOfCompletions = 16;

    private static readonly byte[] Options = """{"include_usage":true}"""u8.ToArray();
    private static readonly byte[] OptionsMember = ""","stream_options":{"include_usage":true}"""u8.ToArray();
    private static readonly byte[] IncludeUsage = "\"include_usage\":true"u8.ToArray();
    private static readonly byte[] IncludeUsageAndMore = "\"include_usage\":true,"u8.ToArray();
    private static readonly byte[] OlderCapName = "\"max_tokens\""u8.ToArray();
    private static readonly byte[] OlderRole = "\"system\""u8.ToArray();
    private static readonly byte[] Null = "null"u8.ToArray();
    private static readonly byte[] True = "true"u8.ToArray();

    /// <summary>
    /// Replaces the model's name, removes the <c>fairlead</c> member, requests usage at the end of a stream, and uses older names for
    /// servers that need them; adds the cap of the output if the gateway set one; every other byte is unchanged.
    /// </summary>
    public static void Write(GatewayCall call, string upstreamModel, in NativeBodyOptions options, IBufferWriter<byte> output, bool isChat)
    {
        var body = call.Body.WrittenSpan;
        var facts = call.Facts;
        var more = (facts.DeveloperRoles?.Count ?? 0) + (facts.AssistantRepairs?.Count ?? 0);
        Span<BodyEdit> edits = more > 0 ? new BodyEdit[5 + more] : [default, default, default, default, default];
        var count = 0;

        ReadOnlyMemory<byte> model = BodySplicer.Quote(upstreamModel);
        var addOptions = call.Streams && !options.OmitsStreamOptions && facts.StreamOptionsRange.IsEmpty;
        if (addOptions) model = (byte[])[.. model.Span, .. OptionsMember];
        if (call.OutputCap is { } cap)
        {
            // Without a maximum, servers of text completions use this one.
            if (!isChat) cap = Math.Min(cap, DefaultMaxTokensOfCompletions);
            var name = isChat && !options.UsesOlderNames ? "max_completion_tokens" : "max_tokens";
            // The name of a null that the client sent; it may be renamed below.
            if (CapOfOutput.FindNull(body, facts.NewCapName.IsEmpty ? name : "max_completion_tokens") is { } absent)
                edits[count++] = new BodyEdit(absent, CapOfOutput.ValueOf(cap));
            else model = (byte[])[.. model.Span, .. CapOfOutput.MemberOf(name, cap)];
        }
        edits[count++] = new BodyEdit(facts.ModelRange, model);
        if (!facts.ExtensionMemberRange.IsEmpty) edits[count++] = new BodyEdit(facts.ExtensionMemberRange, default);
        if (options.OmitsStreamOptions)
        {
            if (!facts.StreamOptionsRange.IsEmpty) edits[count++] = new BodyEdit(facts.StreamOptionsRange, Null);
        }
        else if (call.Streams && !addOptions && !facts.IncludeUsage) edits[count++] = RequestUsage(body, facts.StreamOptionsRange);

        if (options.UsesOlderNames)
        {
            if (!facts.NewCapName.IsEmpty) edits[count++] = new BodyEdit(facts.NewCapName, OlderCapName);
            foreach (var role in facts.DeveloperRoles ?? []) edits[count++] = new BodyEdit(role, OlderRole);
        }

        foreach (var (message, isLoose) in facts.AssistantRepairs ?? [])
        {
            if (!isLoose && !options.HoldsToKnownFields) continue;
            var repaired = AssistantMessages.Repair(body.Slice(message.Start, message.Length), options.HoldsToKnownFields);
            if (repaired is not null) edits[count++] = new BodyEdit(message, repaired);
        }

        BodySplicer.Write(body, edits[..count], output);
    }

    private static BodyEdit RequestUsage(ReadOnlySpan<byte> body, ByteRange range)
    {
        var value = body.Slice(range.Start, range.Length);
        if (value[0] != (byte)'{') return new BodyEdit(range, Options);
        var reader = new Utf8JsonReader(value, new JsonReaderOptions { MaxDepth = 1024 });
        reader.Read();
        var members = false;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            members = true;
            var wanted = reader.ValueTextEquals("include_usage"u8);
            reader.Read();
            if (wanted)
            {
                return new BodyEdit(new ByteRange(range.Start + (int)reader.TokenStartIndex,
                    (int)(reader.BytesConsumed - reader.TokenStartIndex)), True);
            }
            reader.Skip();
        }
        return new BodyEdit(new ByteRange(range.Start + 1, 0), members ? IncludeUsageAndMore : IncludeUsage);
    }
}
