using System.Buffers;
using System.Text.Json;
using System.Text.Json.Nodes;
using Fairlead.Errors;
using Fairlead.Pipeline;

namespace Fairlead.Dialects.OpenAiResponses;

/// <summary>
/// The client's bytes for a provider of the same dialect. The provider stores nothing (<c>store: false</c>), so it receives the whole
/// conversation, and encrypted reasoning is requested. Ids of this gateway are not sent. Every other byte is unchanged.
/// </summary>
internal static class ResponsesUpstreamBody
{
    private static readonly byte[] Null = "null"u8.ToArray();
    private static readonly byte[] False = "false"u8.ToArray();
    private static readonly byte[] True = "true"u8.ToArray();
    private static readonly byte[] NoStore = ",\"store\":false"u8.ToArray();

    /// <param name="call">The call.</param>
    /// <param name="upstreamModel">The model's name at the provider.</param>
    /// <param name="options">What the server requires of the body.</param>
    /// <param name="output">Receives the body.</param>
    /// <param name="isCompaction">Whether it is a compaction request, which supports neither <c>store</c> nor <c>include</c>.</param>
    public static void Write(GatewayCall call, string upstreamModel, in NativeBodyOptions options, IBufferWriter<byte> output,
        bool isCompaction = false)
    {
        var facts = call.Facts;
        var found = facts.Responses!;
        var model = new ArrayBufferWriter<byte>(64);
        model.Write(BodySplicer.Quote(upstreamModel));
        var edits = new List<BodyEdit>(6);
        if (found.Store.IsEmpty && !isCompaction) model.Write(NoStore);
        else if (!found.Store.IsEmpty) edits.Add(new BodyEdit(found.Store, False));
        if (!found.StreamRange.IsEmpty) edits.Add(new BodyEdit(found.StreamRange, call.Streams ? True : False));
        else if (call.Streams) model.Write(",\"stream\":true"u8);
        if (found.Background) edits.Add(new BodyEdit(found.BackgroundRange, False));
        if (!found.Previous.IsEmpty) edits.Add(new BodyEdit(found.Previous, Null));
        // Without it the model's reasoning could not be sent back: the provider does not store it.
        if (!isCompaction && !found.IncludesSealedReasoning && call.Model.Capabilities.Reasoning) AddInclude(call, found, model, edits);
        if (found.History is { Count: > 0 } || found.InputHasGatewayData)
        {
            var input = Input(call, found, options);
            if (found.Input.IsEmpty)
            {
                model.Write(",\"input\":"u8);
                model.Write(input);
            }
            else
            {
                edits.Add(new BodyEdit(found.Input, input));
            }
        }
        if (call.OutputCap is { } cap)
        {
            if (CapOfOutput.FindNull(call.Body.WrittenSpan, "max_output_tokens") is { } absent)
                edits.Add(new BodyEdit(absent, CapOfOutput.ValueOf(cap)));
            else model.Write(CapOfOutput.MemberOf("max_output_tokens", cap));
        }
        edits.Add(new BodyEdit(facts.ModelRange, model.WrittenMemory));
        if (!facts.ExtensionMemberRange.IsEmpty) edits.Add(new BodyEdit(facts.ExtensionMemberRange, default));
        BodySplicer.Write(call.Body.WrittenSpan, System.Runtime.InteropServices.CollectionsMarshal.AsSpan(edits), output);
    }

    private static void AddInclude(GatewayCall call, ResponsesFacts found, ArrayBufferWriter<byte> model, List<BodyEdit> edits)
    {
        if (found.Include.IsEmpty)
        {
            model.Write(",\"include\":[\"reasoning.encrypted_content\"]"u8);
            return;
        }
        var list = call.Body.WrittenSpan.Slice(found.Include.Start + 1, found.Include.Length - 2).Trim(" \t\r\n"u8);
        edits.Add(new BodyEdit(new ByteRange(found.Include.Start + 1, 0), list.IsEmpty
            ? "\"reasoning.encrypted_content\""u8.ToArray()
            : "\"reasoning.encrypted_content\","u8.ToArray()));
    }

    private static byte[] Input(GatewayCall call, ResponsesFacts found, in NativeBodyOptions options)
    {
        var output = new ArrayBufferWriter<byte>(found.Input.Length + 1024);
        try
        {
            using var json = new Utf8JsonWriter(output, ErrorBodyWriter.WriterOptions);
            json.WriteStartArray();
            var writer = new ItemWriter(json, found, options.HoldsToKnownFields);
            foreach (var item in found.History ?? []) writer.Note((JsonObject)Copy(item), null);
            if (!found.Input.IsEmpty)
            {
                var input = JsonNode.Parse(call.Body.WrittenSpan.Slice(found.Input.Start, found.Input.Length),
                    documentOptions: new JsonDocumentOptions { MaxDepth = 1024 });
                if (input is JsonArray items)
                {
                    var index = 0;
                    foreach (var item in items) writer.Note((JsonObject)item!, $"input[{index++}]");
                }
                else
                {
                    writer.Note(new JsonObject { ["type"] = "message", ["role"] = "user", ["content"] = input!.DeepClone() }, null);
                }
            }
            writer.Write();
            json.WriteEndArray();
        }
        catch (ArgumentException)
        {
            throw new GatewayErrorException(new GatewayError(ErrorCode.InvalidParameter,
                "An object of the input contains the same member twice; send it once.") { OpenAiCode = "invalid_value",
                Parameter = "input" });
        }
        return output.WrittenSpan.ToArray();
    }

    /// <summary>Writes the items once all are known: a truncated call without a result is left out.</summary>
    private sealed class ItemWriter(Utf8JsonWriter json, ResponsesFacts found, bool isStrict)
    {
        private readonly List<(JsonObject Item, string? Path)> _items = [];
        private readonly HashSet<string> _answered = new(StringComparer.Ordinal);

        public void Note(JsonObject item, string? path)
        {
            _items.Add((item, path));
            if (Text(item, "type")?.EndsWith("_call_output", StringComparison.Ordinal) == true && Text(item, "call_id") is { } id)
            {
                _answered.Add(id);
            }
        }

        public void Write()
        {
            foreach (var (item, path) in _items)
            {
                if (Text(item, "type") is "function_call" or "custom_tool_call" && Text(item, "status") == "incomplete"
                    && !_answered.Contains(Text(item, "call_id") ?? ""))
                {
                    continue;
                }
                if (isStrict && Text(item, "role") == "assistant" && item["content"] is JsonArray parts)
                {
                    foreach (var part in parts.ToList())
                    {
                        if (part is not JsonObject known || Text(known, "type") is not ("output_text" or "refusal")) parts.Remove(part);
                    }
                }
                Item(json, item, path, found);
            }
        }
    }

    private static void Item(Utf8JsonWriter json, JsonObject item, string? path, ResponsesFacts found)
    {
        var type = Text(item, "type") ?? (item.ContainsKey("role") ? "message" : "item_reference");
        if (type == "item_reference" && found.References?.TryGetValue(Text(item, "id") ?? "", out var known) == true)
        {
            Item(json, (JsonObject)Copy(known), path, found);
            return;
        }
        if (type == "item_reference")
        {
            var shown = RequestErrors.Shown(Text(item, "id") ?? "");
            throw new GatewayErrorException(GatewayError.Invalid($"{path}.id",
                $"Item with id '{shown}' not found. Send the item itself, or 'previous_response_id'.") with { OpenAiCode =
                    "invalid_value" });
        }
        if (type == "compaction")
        {
            if (SealedReasoning.Parse(Text(item, "encrypted_content")) is not { Kind: SealedReasoning.Native } compacted)
            {
                throw new GatewayErrorException(GatewayError.Invalid(path is null
                    ? "previous_response_id"
                    : $"{path}.encrypted_content",
                    "The compaction was not created by this gateway, or was changed since.") with { OpenAiCode = "invalid_value" });
            }
            item["id"] = compacted.Id;
            item["encrypted_content"] = compacted.Seal;
        }
        else if (type == "reasoning")
        {
            // Only its own provider can read it; without its encrypted content the provider would search for an item that it has not
            // stored.
            if (SealedReasoning.Parse(Text(item, "encrypted_content")) is not { Kind: SealedReasoning.Native } sealedReasoning) return;
            item["id"] = sealedReasoning.Id;
            item["encrypted_content"] = sealedReasoning.Seal;
            item.Remove("status");
        }
        else
        {
            item.Remove("id");
        }
        item.WriteTo(json);
    }

    private static JsonNode Copy(JsonElement item) =>
        JsonNode.Parse(item.GetRawText(), documentOptions: new JsonDocumentOptions { MaxDepth = 1024 })!;

    private static string? Text(JsonObject item, string name) =>
        item[name] is JsonValue value && value.TryGetValue<string>(out var text) ? text : null;
}
