using System.Text.Json;
using Fairlead.Configuration;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Fairlead.Streaming;

namespace Fairlead.Dialects.OpenAiResponses;

/// <summary>Checks <c>input</c>: a text, or items of every known kind. Providers with this API validate items of unknown kinds.</summary>
internal ref struct ResponsesItemsReader
{
    private static readonly string[] Roles = ["user", "system", "developer", "assistant"];

    private readonly RequestFacts _facts;
    private readonly RequestBounds _bounds;
    private long _mediaBytes;

    private ResponsesItemsReader(RequestFacts facts, RequestBounds bounds)
    {
        _facts = facts;
        _bounds = bounds;
    }

    public static void Read(ref BodyCursor json, RequestFacts facts, RequestBounds bounds)
    {
        switch (json.Token)
        {
            case JsonTokenType.String:
                facts.TextBytes += json.Value.Length;
                if (!json.Value.IsEmpty) facts.Note(RequestFeatures.UserText);
                return;
            case JsonTokenType.StartArray:
                var reader = new ResponsesItemsReader(facts, bounds);
                var count = 0;
                while (json.NextItem())
                {
                    if (count >= bounds.MaxMessages) throw RequestErrors.TooMany("input", bounds.MaxMessages);
                    reader.Item(ref json, new FieldPath("input", count++));
                }
                facts.MessageCount = Math.Max(1, count);
                return;
            default:
                throw RequestErrors.Type("input", "a string or an array of items", json.Describe());
        }
    }

    private void Item(ref BodyCursor json, FieldPath path)
    {
        if (!json.Object(path)) throw RequestErrors.Type(path, "an object", "null");
        // Members may come in any order, and these two determine the rules for the others.
        var (type, role, hasId) = Look(json, path);
        if (hasId) _facts.Responses!.InputHasGatewayData = true;
        type ??= role is not null ? "message" : hasId ? "item_reference" : throw RequestErrors.Missing(path with { Middle = "type" });
        switch (type)
        {
            case "message": Message(ref json, path, role); break;
            case "function_call": Call(ref json, path, "arguments"); break;
            case "custom_tool_call": Call(ref json, path, "input"); break;
            case "function_call_output" or "custom_tool_call_output": Output(ref json, path); break;
            case "reasoning" or "compaction": Reasoning(ref json, path); break;
            case "item_reference":
                if (!hasId) throw RequestErrors.Missing(path with { Middle = "id" });
                _facts.Responses!.HasReferences = true;
                json.Skip();
                break;
            default:
                // Links to sources are not fetched; the screenshot of a computer call is.
                _facts.TextBytes += json.SkipNoting(path, "_url"u8).Length;
                break;
        }
    }

    private static (string? Type, string? Role, bool HasId) Look(BodyCursor json, FieldPath path)
    {
        string? type = null, role = null;
        var (hasId, seen) = (false, 0);
        while (json.NextMember())
        {
            var field = json.Is("type"u8) ? 1 : json.Is("role"u8) ? 2 : json.Is("id"u8) ? 4 : json.Is("content"u8) ? 8 : 0;
            if (field != 0 && (seen & field) != 0) throw RequestErrors.Duplicate(path with { Middle = json.GetString() });
            seen |= field;
            json.Next();
            switch (field)
            {
                case 1:
                    if (json.Text(path with { Middle = "type" }, 64)) type = json.GetString();
                    break;
                case 2: role = json.ExtensibleValue(path with { Middle = "role" }, Roles); break;
                case 4: hasId = json.Text(path with { Middle = "id" }, 256); break;
                default: json.Skip(); break;
            }
        }
        return (type, role, hasId);
    }

    private void Message(ref BodyCursor json, FieldPath path, string? role)
    {
        if (role is null) throw RequestErrors.Missing(path with { Middle = "role" });
        var (content, words) = (false, false);
        while (json.NextMember())
        {
            var isContent = json.Is("content"u8);
            json.Next();
            if (!isContent)
            {
                json.Skip();
                continue;
            }
            content = true;
            switch (json.Token)
            {
                case JsonTokenType.String:
                    _facts.TextBytes += json.Value.Length;
                    words = !json.Value.IsEmpty;
                    break;
                case JsonTokenType.StartArray:
                    var index = 0;
                    while (json.NextItem()) words |= Part(ref json, path with { Middle = "content", Inner = index++ }, role == "assistant");
                    break;
                default:
                    throw RequestErrors.Type(path with { Middle = "content" }, "a string or an array of parts", json.Describe());
            }
        }
        if (!content) throw RequestErrors.Missing(path with { Middle = "content" });
        if (words && role == "user") _facts.Note(RequestFeatures.UserText);
    }

    // True when the part has text.
    private bool Part(ref BodyCursor json, FieldPath path, bool assistant)
    {
        if (!json.Object(path)) throw RequestErrors.Type(path, "an object", "null");
        var look = json;
        string? type = null;
        while (look.NextMember())
        {
            var isType = look.Is("type"u8);
            look.Next();
            // Output of a model that a client sends back is not restricted to a list.
            if (isType && assistant) type = look.Text(path with { Tail = "type" }) ? look.GetString() : null;
            else if (isType)
            {
                type = look.ExtensibleValue(path with { Tail = "type" }, ["input_text", "input_image", "input_file", "input_audio"]);
            }
            else look.Skip();
        }
        switch (type)
        {
            case null: throw RequestErrors.Missing(path with { Tail = "type" });
            case "input_image": return Image(ref json, path);
            case "input_file": return File(ref json, path);
            case "input_audio": return Audio(ref json, path);
            case "input_text" or "output_text" or "refusal": return ReadText(ref json, path, type == "refusal" ? "refusal" : "text");
            default:
                _facts.TextBytes += json.SkipNoting(path, assistant ? "_url"u8 : default).Length;
                return false;
        }
    }

    private readonly bool ReadText(ref BodyCursor json, FieldPath path, string member)
    {
        var (found, words) = (false, false);
        while (json.NextMember())
        {
            var wanted = json.Is(member == "refusal" ? "refusal"u8 : "text"u8);
            json.Next();
            if (!wanted)
            {
                json.Skip();
                continue;
            }
            found = json.Text(path with { Tail = member });
            words |= !json.Value.IsEmpty;
            _facts.TextBytes += json.Value.Length;
        }
        if (!found) throw RequestErrors.Missing(path with { Tail = member });
        return words;
    }

    private bool Image(ref BodyCursor json, FieldPath path)
    {
        var found = false;
        Span<byte> prefix = stackalloc byte[64];
        while (json.NextMember())
        {
            var field = json.Is("image_url"u8) ? 1 : json.Is("file_id"u8) ? 2 : json.Is("detail"u8) ? 3 : 0;
            json.Next();
            switch (field)
            {
                case 1:
                    var at = path with { Tail = "image_url" };
                    if (!json.Text(at)) break;
                    if (json.Value.IsEmpty) throw RequestErrors.EmptyString(at);
                    found = true;
                    var start = StartOf(json, prefix);
                    if (StartsWith(start, "data:"u8))
                    {
                        if (start.IndexOf(";base64,"u8) < 6)
                        {
                            throw RequestErrors.Value(at, "a data URL must have the form data:<media type>;base64,<data>.");
                        }
                        Media(json.Value.Length, path);
                    }
                    else if (!StartsWith(start, "https://"u8) && !StartsWith(start, "http://"u8))
                    {
                        throw RequestErrors.Value(at, "expected an https address or a data URL.");
                    }
                    json.NoteAddress(at);
                    break;
                case 2: found |= NamesFile(json, path); break;
                case 3: json.ExtensibleValue(path with { Tail = "detail" }, ["auto", "low", "high", "original"]); break;
                default: json.Skip(); break;
            }
        }
        if (!found) throw RequestErrors.Missing(path with { Tail = "image_url" });
        _facts.ImageCount++;
        Note(RequestFeatures.Images, path);
        return false;
    }

    private bool File(ref BodyCursor json, FieldPath path)
    {
        var (data, address, named, isPdf) = (-1, false, false, false);
        Span<byte> prefix = stackalloc byte[64];
        while (json.NextMember())
        {
            var field = json.Is("file_data"u8) ? 1 : json.Is("file_id"u8) ? 2 : json.Is("file_url"u8) ? 3 : json.Is("filename"u8) ? 4 : 0;
            json.Next();
            switch (field)
            {
                case 1:
                    if (!json.Text(path with { Tail = "file_data" })) break;
                    if (json.Value.IsEmpty) throw RequestErrors.EmptyString(path with { Tail = "file_data" });
                    data = json.Value.Length;
                    json.NoteAddress(path with { Tail = "file_data" });
                    isPdf |= StartsWith(StartOf(json, prefix), "data:application/pdf"u8);
                    break;
                case 2: named |= NamesFile(json, path); break;
                case 3:
                    if (!json.Text(path with { Tail = "file_url" })) break;
                    if (!StartsWith(json.Value, "https://"u8) && !StartsWith(json.Value, "http://"u8))
                    {
                        throw RequestErrors.Value(path with { Tail = "file_url" }, "expected an https address.");
                    }
                    json.NoteAddress(path with { Tail = "file_url" });
                    address = true;
                    break;
                case 4:
                    if (json.Text(path with { Tail = "filename" })) isPdf |= json.Value.EndsWith(".pdf"u8) || json.Value.EndsWith(".PDF"u8);
                    break;
                default: json.Skip(); break;
            }
        }
        if (data < 0 && !address && !named)
        {
            throw RequestErrors.Invalid(path, $"Invalid value for '{path}': 'file_data', 'file_url' or 'file_id' is required.",
                "missing_required_parameter");
        }
        Media(Math.Max(0, data), path);
        _facts.MediaBytes += Math.Max(0, data);
        Note(RequestFeatures.Files, path);
        if (isPdf) Note(RequestFeatures.PdfFiles, path);
        return false;
    }

    private bool Audio(ref BodyCursor json, FieldPath path)
    {
        var (data, format) = (-1, false);
        while (json.NextMember())
        {
            var isAudio = json.Is("input_audio"u8);
            json.Next();
            if (!isAudio || !json.Object(path with { Tail = "input_audio" }))
            {
                json.Skip();
                continue;
            }
            while (json.NextMember())
            {
                var field = json.Is("data"u8) ? 1 : json.Is("format"u8) ? 2 : 0;
                json.Next();
                switch (field)
                {
                    case 1:
                        json.RequiredText(path with { Tail = "input_audio.data" });
                        data = json.Value.Length;
                        break;
                    case 2: format = json.ExtensibleValue(path with { Tail = "input_audio.format" }, ["wav", "mp3"]) is not null; break;
                    default: json.Skip(); break;
                }
            }
        }
        if (data < 0) throw RequestErrors.Missing(path with { Tail = "input_audio.data" });
        if (!format) throw RequestErrors.Missing(path with { Tail = "input_audio.format" });
        Media(data, path);
        _facts.MediaBytes += data;
        Note(RequestFeatures.Audio, path);
        return false;
    }

    private readonly void Call(ref BodyCursor json, FieldPath path, string argumentsName)
    {
        var (id, name, arguments) = (false, false, false);
        while (json.NextMember())
        {
            var field = json.Is("call_id"u8) ? 1
                : json.Is("name"u8) ? 2
                : json.Is(argumentsName == "input" ? "input"u8 : "arguments"u8) ? 3
                : 0;
            json.Next();
            switch (field)
            {
                case 1:
                    json.RequiredText(path with { Middle = "call_id" });
                    id = true;
                    break;
                case 2:
                    json.RequiredText(path with { Middle = "name" });
                    _facts.TextBytes += json.Value.Length;
                    name = true;
                    break;
                case 3:
                    arguments = json.Text(path with { Middle = argumentsName });
                    _facts.TextBytes += json.Value.Length;
                    break;
                default: json.Skip(); break;
            }
        }
        if (!id) throw RequestErrors.Missing(path with { Middle = "call_id" });
        if (!name) throw RequestErrors.Missing(path with { Middle = "name" });
        if (!arguments) throw RequestErrors.Missing(path with { Middle = argumentsName });
    }

    private void Output(ref BodyCursor json, FieldPath path)
    {
        var (id, output) = (false, false);
        while (json.NextMember())
        {
            var field = json.Is("call_id"u8) ? 1 : json.Is("output"u8) ? 2 : 0;
            json.Next();
            if (field == 1)
            {
                json.RequiredText(path with { Middle = "call_id" });
                id = true;
            }
            else if (field == 2 && json.Token == JsonTokenType.StartArray)
            {
                var index = 0;
                while (json.NextItem()) Part(ref json, path with { Middle = "output", Inner = index++ }, assistant: false);
                output = true;
            }
            else if (field == 2)
            {
                output = json.Text(path with { Middle = "output" });
                _facts.TextBytes += json.Value.Length;
            }
            else
            {
                json.Skip();
            }
        }
        if (!id) throw RequestErrors.Missing(path with { Middle = "call_id" });
        if (!output) throw RequestErrors.Missing(path with { Middle = "output" });
    }

    private readonly void Reasoning(ref BodyCursor json, FieldPath path)
    {
        while (json.NextMember())
        {
            var field = json.Is("encrypted_content"u8) ? 1 : json.Is("summary"u8) ? 2 : json.Is("content"u8) ? 3 : 0;
            json.Next();
            switch (field)
            {
                case 1:
                    if (!json.Text(path with { Middle = "encrypted_content" })) break;
                    _facts.Responses!.InputHasGatewayData = true;
                    _facts.TextBytes += json.Value.Length;
                    break;
                case 2 or 3:
                    Thoughts(ref json, path, field == 2 ? "summary" : "content");
                    break;
                default:
                    json.Skip();
                    break;
            }
        }
    }

    private readonly void Thoughts(ref BodyCursor json, FieldPath path, string member)
    {
        if (!json.Array(path with { Middle = member })) return;
        for (var i = 0; json.NextItem(); i++)
        {
            var at = path with { Middle = member, Inner = i };
            if (!json.Object(at)) throw RequestErrors.Type(at, "an object", "null");
            var text = false;
            while (json.NextMember())
            {
                var isText = json.Is("text"u8);
                json.Next();
                if (!isText)
                {
                    json.Skip();
                    continue;
                }
                text = json.Text(at with { Tail = "text" });
                _facts.TextBytes += json.Value.Length;
            }
            if (!text) throw RequestErrors.Missing(at with { Tail = "text" });
        }
    }

    // Loaded before any other stage reads the request, which is then read again.
    private readonly bool NamesFile(in BodyCursor json, FieldPath path)
    {
        var at = path with { Tail = "file_id" };
        if (!json.Text(at)) return false;
        if (json.Value.IsEmpty) throw RequestErrors.EmptyString(at);
        return _facts.Responses!.HasFileIds = true;
    }

    private void Media(int bytes, FieldPath path)
    {
        _facts.InlineBytes += bytes;
        if ((_mediaBytes += bytes) > _bounds.MaxMediaBytes)
        {
            throw RequestErrors.TooLarge(path, $"The inline media of the request exceed {_bounds.MaxMediaBytes} bytes of base64.");
        }
    }

    private readonly void Note(RequestFeatures feature, FieldPath path)
    {
        if (!_facts.Has(feature)) _facts.Note(feature, path.ToString());
    }

    private static ReadOnlySpan<byte> StartOf(in BodyCursor json, Span<byte> scratch) =>
        json.IsEscaped ? JsonEscapes.DecodePrefix(json.Value, scratch) : json.Value[..Math.Min(scratch.Length, json.Value.Length)];

    private static bool StartsWith(ReadOnlySpan<byte> text, ReadOnlySpan<byte> prefix) =>
        text.Length >= prefix.Length && System.Text.Ascii.EqualsIgnoreCase(text[..prefix.Length], prefix);
}
