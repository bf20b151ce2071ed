using System.Text;
using System.Text.Json;
using Fairlead.Configuration;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Fairlead.Streaming;

namespace Fairlead.Dialects.OpenAiChat;

/// <summary>
/// Checks the messages: their shape, what the role allows, and that tool calls and results match. Members of a message may
/// come in any order, so rules about the role are checked at the end of the message.
/// </summary>
internal ref struct ChatMessagesReader
{
    /// <summary>Limits the search for the call of a result.</summary>
    private const int MaxToolCalls = 512;

    /// <summary>Calls beyond this limit are looked up by id, so that no order of results makes the search quadratic.</summary>
    private const int MaxSearched = 32;

    private static readonly string[] Roles = ["developer", "system", "user", "assistant", "tool", "function"];
    private static readonly string[] PartTypes = ["text", "image_url", "input_audio", "file", "refusal"];
    private static readonly string[] Details = ["auto", "low", "high", "original"];
    private static readonly string[] AudioFormats = ["wav", "mp3"];
    private static readonly string[] CallTypes = ["function", "custom"];

    private readonly RequestFacts _facts;
    private readonly RequestBounds _bounds;
    private List<PendingCall>? _pending;
    private int _unanswered;
    private int _callsAt;
    private int _nextAnswer;
    private Dictionary<string, int>? _callsById;
    private int[] _nextOfId = [];
    private long _mediaBytes;
    private bool _userText;
    private bool _prefill;

    private ChatMessagesReader(RequestFacts facts, RequestBounds bounds)
    {
        _facts = facts;
        _bounds = bounds;
    }

    /// <summary>One call of the last assistant turn: the position of its id, and whether its result has come.</summary>
    private record struct PendingCall(ByteRange Id, bool Answered);

    /// <summary>Kinds of parts seen in one message.</summary>
    [Flags]
    private enum Parts
    {
        None = 0,
        Text = 1,
        Image = 2,
        Audio = 4,
        File = 8,
        Refusal = 16,
    }

    private enum Content
    {
        Absent,
        Null,
        Text,
        Parts,
        Empty,
    }

    /// <summary>What one message contains.</summary>
    private ref struct Turn
    {
        public string? Role;
        public Content Content;
        public Parts Parts;
        public bool HasText;
        public bool HasRefusal;
        public bool HasAudio;
        public bool HasName;
        public bool HasFunctionCall;
        public bool HasToolCalls;
        public int FirstImage;
        public int FirstAudio;
        public int FirstFile;
        public int FirstPdf;
        public GatewayError? UnknownPart;
        public bool HasUnknownValue;
        public bool IsLoose;
        public ByteRange CallId;
        public int Seen;
    }

    public static void Read(ref BodyCursor json, RequestFacts facts, RequestBounds bounds)
    {
        if (!json.Array("messages")) throw RequestErrors.Type("messages", "an array of objects", "null");
        var reader = new ChatMessagesReader(facts, bounds);
        var index = 0;
        while (json.NextItem())
        {
            if (index >= bounds.MaxMessages) throw RequestErrors.TooMany("messages", bounds.MaxMessages);
            reader.Message(ref json, index);
            index++;
        }
        if (index == 0) throw RequestErrors.EmptyArray("messages");
        if (reader._unanswered > 0) throw reader.Unanswered(json, index - 1);
        facts.MessageCount = index;
        if (reader._userText) facts.Note(RequestFeatures.UserText);
        if (reader._prefill) facts.Note(RequestFeatures.Prefill, $"messages[{index - 1}]");
    }

    private void Message(ref BodyCursor json, int index)
    {
        var path = new FieldPath("messages", index);
        if (!json.Object(path)) throw RequestErrors.Type(path, "an object", "null");
        var turn = new Turn();
        var start = json.Start;
        var firstNewCall = _pending?.Count ?? 0;
        while (json.NextMember())
        {
            switch (json.Value.Length)
            {
                case 4 when json.Is("role"u8):
                    Once(ref turn, 1, path, "role");
                    json.Next();
                    turn.Role = json.ExtensibleValue(path with { Middle = "role" }, Roles);
                    if (turn.Role == "developer") (_facts.DeveloperRoles ??= []).Add(json.Range);
                    break;
                case 7 when json.Is("content"u8):
                    Once(ref turn, 2, path, "content");
                    json.Next();
                    Body(ref json, index, ref turn);
                    break;
                case 10 when json.Is("tool_calls"u8):
                    Once(ref turn, 4, path, "tool_calls");
                    json.Next();
                    ToolCalls(ref json, index, ref turn);
                    break;
                case 12 when json.Is("tool_call_id"u8):
                    Once(ref turn, 8, path, "tool_call_id");
                    json.Next();
                    if (json.Text(path with { Middle = "tool_call_id" })) turn.CallId = json.Range;
                    break;
                case 4 when json.Is("name"u8):
                    json.Next();
                    turn.HasName = json.Text(path with { Middle = "name" });
                    if (turn.HasName) _facts.TextBytes += json.Value.Length;
                    break;
                case 7 when json.Is("refusal"u8):
                    json.Next();
                    turn.HasRefusal = json.Text(path with { Middle = "refusal" });
                    if (turn.HasRefusal) _facts.TextBytes += json.Value.Length;
                    break;
                case 5 when json.Is("audio"u8):
                    json.Next();
                    turn.HasAudio = json.Object(path with { Middle = "audio" });
                    // A returned message in full holds more than the reference that is accepted as input.
                    turn.HasUnknownValue |= turn.HasAudio;
                    json.Skip();
                    break;
                case 13 when json.Is("function_call"u8):
                    json.Next();
                    turn.HasFunctionCall = json.Object(path with { Middle = "function_call" });
                    if (turn.HasFunctionCall) Call(ref json, index, -1, "function_call", "arguments", ref turn);
                    else turn.IsLoose = true;
                    break;
                case 9 when json.Is("reasoning"u8):
                    json.Next();
                    if (json.Token == JsonTokenType.String) _facts.TextBytes += json.Value.Length;
                    turn.HasUnknownValue = true;
                    json.Skip();
                    break;
                case 17 when json.Is("reasoning_content"u8):
                    json.Next();
                    if (json.Token == JsonTokenType.String) _facts.TextBytes += json.Value.Length;
                    turn.HasUnknownValue = true;
                    json.Skip();
                    break;
                default:
                    turn.HasUnknownValue |= !json.Is("annotations"u8);
                    json.Next();
                    json.Skip();
                    break;
            }
        }
        Validate(json, index, ref turn, firstNewCall);
        if (turn.Role == "assistant" && (turn.IsLoose || turn.HasUnknownValue))
        {
            (_facts.AssistantRepairs ??= []).Add(new AssistantRepair(new ByteRange(start, json.End - start), turn.IsLoose));
        }
    }

    private void Validate(in BodyCursor json, int index, ref Turn turn, int firstNewCall)
    {
        var path = new FieldPath("messages", index);
        if (turn.Role is null) throw RequestErrors.Missing(path with { Middle = "role" });
        if (turn.Role != "tool" && _unanswered > 0) throw Unanswered(json, index);
        if (turn.HasToolCalls && turn.Role != "assistant")
        {
            throw RequestErrors.Value(path with { Middle = "tool_calls" }, "only messages with role 'assistant' may have it.");
        }

        var allowed = turn.Role switch
        {
            "user" => Parts.Text | Parts.Image | Parts.Audio | Parts.File,
            "assistant" => ~Parts.None,
            "function" => Parts.None,
            not ("system" or "developer" or "tool") => ~Parts.None,
            _ => Parts.Text,
        };
        if ((turn.Parts & ~allowed) != 0)
        {
            throw RequestErrors.Value(path with { Middle = "content" },
                $"a message with role '{turn.Role}' may not contain parts of type '{TypeOf(turn.Parts & ~allowed)}'.");
        }
        if (turn.Role != "assistant")
        {
            Note(RequestFeatures.Images, index, turn.FirstImage);
            Note(RequestFeatures.Audio, index, turn.FirstAudio);
            Note(RequestFeatures.Files, index, turn.FirstFile);
            Note(RequestFeatures.PdfFiles, index, turn.FirstPdf);
        }
        if (turn.Role != "assistant" && turn.UnknownPart is { } part) json.NoteUnknownValue(part, isRead: true);
        turn.HasUnknownValue |= turn.UnknownPart is not null || (turn.Parts & ~(Parts.Text | Parts.Refusal)) != 0;
        // A response without content is a message without content when a client sends it back.
        var mayBeEmpty = turn.Role is not ("system" or "developer" or "user" or "tool");
        turn.IsLoose |= turn.Content is Content.Absent or Content.Null
            && !(turn.HasToolCalls || turn.HasFunctionCall || turn.HasRefusal || turn.HasAudio);
        switch (turn.Content)
        {
            case Content.Absent when !mayBeEmpty && turn.Role != "function":
                throw RequestErrors.Missing(path with { Middle = "content" });
            case Content.Null when !mayBeEmpty && turn.Role != "function":
                throw RequestErrors.Type(path with { Middle = "content" }, "a string or an array of parts", "null");
            case Content.Empty when turn.Role != "assistant":
                throw RequestErrors.EmptyArray(path with { Middle = "content" });
            case Content.Parts when turn.Role == "function":
                throw RequestErrors.Type(path with { Middle = "content" }, "a string or null", "an array");
        }
        switch (turn.Role)
        {
            case "tool":
                ModelResponse(json, index, turn.CallId);
                break;
            case "function" when !turn.HasName:
                throw RequestErrors.Missing(path with { Middle = "name" });
            case "user":
                _userText = turn.HasText;
                break;
            case "assistant" when turn.HasToolCalls:
                // Only the calls of this turn count; all earlier ones have results.
                _pending!.RemoveRange(0, firstNewCall);
                _callsById = null;
                _unanswered = _pending.Count;
                _callsAt = index;
                _nextAnswer = 0;
                break;
        }
        if (turn.Role != "tool" && !turn.HasToolCalls)
        {
            _pending?.Clear();
            _callsById = null;
        }
        _prefill = turn.Role == "assistant" && !turn.HasToolCalls && !turn.HasFunctionCall
            && (turn.Content is Content.Text or Content.Parts);
    }

    private void Body(ref BodyCursor json, int index, ref Turn turn)
    {
        switch (json.Token)
        {
            case JsonTokenType.String:
                turn.Content = Content.Text;
                turn.HasText = !json.Value.IsEmpty;
                _facts.TextBytes += json.Value.Length;
                break;
            case JsonTokenType.Null:
                turn.Content = Content.Null;
                break;
            case JsonTokenType.StartArray:
                turn.Content = Content.Parts;
                var part = 0;
                while (json.NextItem()) Part(ref json, index, part++, ref turn);
                turn.IsLoose |= part == 0;
                if (part == 0) turn.Content = Content.Empty;
                break;
            default:
                throw RequestErrors.Type(new FieldPath("messages", index, "content"), "a string or an array of parts", json.Describe());
        }
    }

    private void Part(ref BodyCursor json, int message, int index, ref Turn turn)
    {
        var path = new FieldPath("messages", message, "content", index);
        if (!json.Object(path)) throw RequestErrors.Type(path, "an object", "null");
        string? type = null;
        var found = Parts.None;
        var textBytes = 0;
        var (media, isPdf) = (0L, false);
        var partStart = json.Start;
        while (json.NextMember())
        {
            if (json.Is("type"u8))
            {
                json.Next();
                if (type is not null) throw RequestErrors.Duplicate(path with { Tail = "type" });
                if (!json.Text(path with { Tail = "type" })) continue;
                type = json.GetString();
            }
            else if (json.Is("text"u8))
            {
                json.Next();
                if (!json.Text(path with { Tail = "text" })) continue;
                found |= Parts.Text;
                textBytes += json.Value.Length;
            }
            else if (json.Is("image_url"u8))
            {
                json.Next();
                if (!json.Object(path with { Tail = "image_url" })) continue;
                media += Image(ref json, path);
                found |= Parts.Image;
            }
            else if (json.Is("input_audio"u8))
            {
                json.Next();
                if (!json.Object(path with { Tail = "input_audio" })) continue;
                media += Audio(ref json, path);
                found |= Parts.Audio;
            }
            else if (json.Is("file"u8))
            {
                json.Next();
                if (!json.Object(path with { Tail = "file" })) continue;
                media += File(ref json, path, out isPdf);
                found |= Parts.File;
            }
            else if (json.Is("refusal"u8))
            {
                json.Next();
                if (!json.Text(path with { Tail = "refusal" })) continue;
                found |= Parts.Refusal;
                textBytes += json.Value.Length;
            }
            else
            {
                // Links to sources are not fetched.
                var isLink = json.Is("annotations"u8) || json.Is("citations"u8);
                json.Next();
                if (isLink) json.Skip();
                else json.SkipNoting(path);
            }
        }
        var kind = type switch
        {
            null => throw RequestErrors.Missing(path with { Tail = "type" }),
            "text" => Parts.Text,
            "image_url" => Parts.Image,
            "input_audio" => Parts.Audio,
            "file" => Parts.File,
            "refusal" => Parts.Refusal,
            _ => Parts.None,
        };
        if (kind == Parts.None)
        {
            // A part of another server: that server validates it, and its size limits its tokens.
            turn.UnknownPart ??= RequestErrors.OneOf(path with { Tail = "type" }, PartTypes).Error;
            turn.HasText |= textBytes > 0;
            _facts.TextBytes += json.End - partStart;
            return;
        }
        if ((found & kind) == 0) throw RequestErrors.Missing(path with { Tail = type });
        _facts.InlineBytes += media;
        if ((_mediaBytes += media) > _bounds.MaxMediaBytes)
        {
            throw RequestErrors.TooLarge(path, $"The inline media of the request exceed {_bounds.MaxMediaBytes} bytes of base64.");
        }
        turn.Parts |= kind;
        _facts.TextBytes += textBytes;
        switch (kind)
        {
            case Parts.Text:
                turn.HasText |= textBytes > 0;
                break;
            case Parts.Image:
                _facts.ImageCount++;
                if (turn.FirstImage == 0) turn.FirstImage = index + 1;
                break;
            case Parts.Audio:
                _facts.MediaBytes += (int)media;
                if (turn.FirstAudio == 0) turn.FirstAudio = index + 1;
                break;
            case Parts.File:
                _facts.MediaBytes += (int)media;
                if (turn.FirstFile == 0) turn.FirstFile = index + 1;
                if (isPdf && turn.FirstPdf == 0) turn.FirstPdf = index + 1;
                break;
        }
    }

    // Only content for the model; the path becomes text once per request, not once per part.
    private readonly void Note(RequestFeatures feature, int message, int part)
    {
        if (part > 0 && !_facts.Has(feature)) _facts.Note(feature, new FieldPath("messages", message, "content", part - 1).ToString());
    }

    private static long Image(ref BodyCursor json, FieldPath part)
    {
        var media = -1L;
        Span<byte> prefix = stackalloc byte[64];
        while (json.NextMember())
        {
            if (json.Is("url"u8))
            {
                var path = part with { Tail = "image_url.url" };
                json.Next();
                json.RequiredText(path);
                var start = json.IsEscaped
                    ? JsonEscapes.DecodePrefix(json.Value, prefix)
                    : json.Value[..Math.Min(prefix.Length, json.Value.Length)];
                if (StartsWith(start, "data:"u8))
                {
                    if (start.IndexOf(";base64,"u8) < 6)
                    {
                        throw RequestErrors.Value(path, "a data URL must have the form data:<media type>;base64,<data>.");
                    }
                    media = json.Value.Length;
                }
                else if (StartsWith(start, "https://"u8) || StartsWith(start, "http://"u8))
                {
                    media = 0;
                    json.NoteAddress(path);
                }
                else
                {
                    throw RequestErrors.Value(path, "expected an https address or a data URL.");
                }
            }
            else if (json.Is("detail"u8))
            {
                json.Next();
                json.ExtensibleValue(part with { Tail = "image_url.detail" }, Details);
            }
            else
            {
                json.Next();
                json.Skip();
            }
        }
        return media >= 0 ? media : throw RequestErrors.Missing(part with { Tail = "image_url.url" });
    }

    private static long Audio(ref BodyCursor json, FieldPath part)
    {
        var (data, format) = (-1L, false);
        while (json.NextMember())
        {
            if (json.Is("data"u8))
            {
                json.Next();
                json.RequiredText(part with { Tail = "input_audio.data" });
                data = json.Value.Length;
            }
            else if (json.Is("format"u8))
            {
                json.Next();
                format = json.ExtensibleValue(part with { Tail = "input_audio.format" }, AudioFormats) is not null;
            }
            else
            {
                json.Next();
                json.Skip();
            }
        }
        if (data < 0) throw RequestErrors.Missing(part with { Tail = "input_audio.data" });
        if (!format) throw RequestErrors.Missing(part with { Tail = "input_audio.format" });
        return data;
    }

    private static long File(ref BodyCursor json, FieldPath part, out bool isPdf)
    {
        var (data, id) = (-1L, false);
        isPdf = false;
        Span<byte> prefix = stackalloc byte[64];
        while (json.NextMember())
        {
            if (json.Is("file_data"u8))
            {
                json.Next();
                if (!json.Text(part with { Tail = "file.file_data" })) continue;
                if (json.Value.IsEmpty) throw RequestErrors.EmptyString(part with { Tail = "file.file_data" });
                data = json.Value.Length;
                json.NoteAddress(part with { Tail = "file.file_data" });
                var start = json.IsEscaped
                    ? JsonEscapes.DecodePrefix(json.Value, prefix)
                    : json.Value[..Math.Min(prefix.Length, json.Value.Length)];
                isPdf |= StartsWith(start, "data:application/pdf"u8);
            }
            else if (json.Is("file_id"u8))
            {
                json.Next();
                id |= json.Text(part with { Tail = "file.file_id" });
            }
            else if (json.Is("filename"u8))
            {
                json.Next();
                if (json.Text(part with { Tail = "file.filename" }))
                {
                    isPdf |= json.Value.EndsWith(".pdf"u8) || json.Value.EndsWith(".PDF"u8);
                }
            }
            else
            {
                json.Next();
                json.SkipNoting(part with { Tail = "file" });
            }
        }
        if (data < 0 && !id)
        {
            throw RequestErrors.Invalid(part with { Tail = "file" },
                $"Invalid value for '{part with { Tail = "file" }}': 'file_id' or 'file_data' is required.", "missing_required_parameter");
        }
        return Math.Max(0, data);
    }

    private void ToolCalls(ref BodyCursor json, int message, ref Turn turn)
    {
        if (!json.Array(new FieldPath("messages", message, "tool_calls")))
        {
            turn.IsLoose = true;
            return;
        }
        _pending ??= [];
        var index = 0;
        while (json.NextItem())
        {
            if (index >= MaxToolCalls) throw RequestErrors.TooMany(new FieldPath("messages", message, "tool_calls"), MaxToolCalls);
            ToolCall(ref json, message, index++, ref turn);
        }
        turn.IsLoose |= index == 0;
        turn.HasToolCalls = index > 0;
    }

    private readonly void ToolCall(ref BodyCursor json, int message, int index, ref Turn turn)
    {
        var path = new FieldPath("messages", message, "tool_calls", index);
        if (!json.Object(path)) throw RequestErrors.Type(path, "an object", "null");
        string? type = null;
        ByteRange id = default;
        var (function, custom) = (false, false);
        while (json.NextMember())
        {
            if (json.Is("id"u8))
            {
                json.Next();
                if (!id.IsEmpty) throw RequestErrors.Duplicate(path with { Tail = "id" });
                json.RequiredText(path with { Tail = "id" });
                id = json.Range;
            }
            else if (json.Is("type"u8))
            {
                json.Next();
                type = json.ExtensibleValue(path with { Tail = "type" }, CallTypes);
            }
            else if (json.Is("function"u8))
            {
                json.Next();
                if (!json.Object(path with { Tail = "function" })) continue;
                Call(ref json, message, index, "function", "arguments", ref turn);
                function = true;
            }
            else if (json.Is("custom"u8))
            {
                json.Next();
                if (!json.Object(path with { Tail = "custom" })) continue;
                Call(ref json, message, index, "custom", "input", ref turn);
                custom = true;
            }
            else
            {
                turn.HasUnknownValue = true;
                json.Next();
                json.Skip();
            }
        }
        if (id.IsEmpty) throw RequestErrors.Missing(path with { Tail = "id" });
        // Some servers leave it out.
        turn.IsLoose |= type is null && (function || custom);
        type ??= function ? "function" : custom ? "custom" : throw RequestErrors.Missing(path with { Tail = "type" });
        if (type == "function" ? !function : type == "custom" && !custom) throw RequestErrors.Missing(path with { Tail = type });
        _pending!.Add(new PendingCall(id, false));
    }

    private readonly void Call(ref BodyCursor json, int message, int index, string member, string argumentsName, ref Turn turn)
    {
        var (name, arguments) = (false, false);
        while (json.NextMember())
        {
            var isName = json.Is("name"u8);
            var isArguments = !isName && json.Is(argumentsName == "input" ? "input"u8 : "arguments"u8);
            json.Next();
            if (isName)
            {
                json.RequiredText(At(message, index, member, "name"));
                _facts.TextBytes += json.Value.Length;
                name = true;
            }
            else if (isArguments)
            {
                arguments = true;
                if (json.Token == JsonTokenType.String)
                {
                    _facts.TextBytes += json.Value.Length;
                    continue;
                }
                // Some servers write the object itself, or null if there are none.
                if (json.Token is not (JsonTokenType.StartObject or JsonTokenType.Null))
                {
                    json.Text(At(message, index, member, argumentsName));
                }
                turn.IsLoose = true;
                _facts.TextBytes += json.SkipRange().Length;
            }
            else
            {
                json.Skip();
            }
        }
        if (!name) throw RequestErrors.Missing(At(message, index, member, "name"));
        if (!arguments) throw RequestErrors.Missing(At(message, index, member, argumentsName));
    }

    private static FieldPath At(int message, int index, string member, string field) => index < 0
        ? new FieldPath("messages", message, $"{member}.{field}")
        : new FieldPath("messages", message, "tool_calls", index, $"{member}.{field}");

    private void ModelResponse(in BodyCursor json, int index, ByteRange id)
    {
        if (id.IsEmpty) throw RequestErrors.Missing(new FieldPath("messages", index, "tool_call_id"));
        if (_pending is not { Count: > 0 } calls)
        {
            throw RequestErrors.Invalid(new FieldPath("messages", index, "role"),
                "A message with role 'tool' must follow an assistant message with 'tool_calls'.", "invalid_value");
        }
        var at = Find(json.Body, calls, id);
        if (at < 0)
        {
            throw RequestErrors.Value(new FieldPath("messages", index, "tool_call_id"),
                "it is not the id of a call in the 'tool_calls' of the preceding assistant message.");
        }
        if (!calls[at].Answered) _unanswered--;
        calls[at] = calls[at] with { Answered = true };
        _nextAnswer = at + 1;
    }

    /// <summary>The call with an id; of several, one without a result if possible. -1 for none.</summary>
    private int Find(ReadOnlySpan<byte> body, List<PendingCall> calls, ByteRange id)
    {
        if (_callsById is null)
        {
            // Results usually come in the order of the calls, so the search starts after the last match.
            for (var i = 0; i < Math.Min(calls.Count, MaxSearched); i++)
            {
                var at = (_nextAnswer + i) % calls.Count;
                if (Same(body, calls[at].Id, id)) return at;
            }
            if (calls.Count <= MaxSearched) return -1;
            IndexById(body, calls);
        }
        var key = KeyOf(body, id);
        if (!_callsById!.TryGetValue(key, out var found)) return -1;
        if (_nextOfId[found] >= 0) _callsById[key] = _nextOfId[found];
        return found;
    }

    private void IndexById(ReadOnlySpan<byte> body, List<PendingCall> calls)
    {
        _callsById = new Dictionary<string, int>(calls.Count, StringComparer.Ordinal);
        _nextOfId = new int[calls.Count];
        for (var i = calls.Count - 1; i >= 0; i--)
        {
            var key = KeyOf(body, calls[i].Id);
            var isKnown = _callsById.TryGetValue(key, out var later);
            _nextOfId[i] = isKnown ? later : -1;
            if (!isKnown || !calls[i].Answered) _callsById[key] = i;
        }
    }

    private static string KeyOf(ReadOnlySpan<byte> body, ByteRange id)
    {
        var literal = body.Slice(id.Start, id.Length);
        try
        {
            return Decode(literal);
        }
        catch (InvalidOperationException)
        {
            // Half a character: equal only with the same escapes.
            return Encoding.UTF8.GetString(literal);
        }
    }

    private readonly GatewayErrorException Unanswered(in BodyCursor json, int index)
    {
        var ids = new List<string>();
        foreach (var call in _pending!)
        {
            if (!call.Answered && ids.Count < 8) ids.Add(Decode(json.Body.Slice(call.Id.Start, call.Id.Length)));
        }
        return RequestErrors.Invalid(
            new FieldPath("messages", index),
            $"Every call in 'messages[{_callsAt}].tool_calls' must be followed by a message with role 'tool' before the next turn; "
                + $"missing are results for {string.Join(", ", ids.Select(id => $"'{id}'"))}.",
            "invalid_value");
    }

    private static bool Same(ReadOnlySpan<byte> body, ByteRange a, ByteRange b)
    {
        var left = body.Slice(a.Start, a.Length);
        var right = body.Slice(b.Start, b.Length);
        if (left.SequenceEqual(right)) return true;
        return (left.Contains((byte)'\\') || right.Contains((byte)'\\')) && Decode(left) == Decode(right);
    }

    private static string Decode(ReadOnlySpan<byte> literal)
    {
        var reader = new Utf8JsonReader(literal);
        reader.Read();
        return reader.GetString()!;
    }

    private static bool StartsWith(ReadOnlySpan<byte> text, ReadOnlySpan<byte> prefix) =>
        text.Length >= prefix.Length && System.Text.Ascii.EqualsIgnoreCase(text[..prefix.Length], prefix);

    private static string TypeOf(Parts parts) =>
        (parts & Parts.Image) != 0 ? "image_url"
            : (parts & Parts.Audio) != 0 ? "input_audio"
            : (parts & Parts.File) != 0 ? "file"
            : (parts & Parts.Refusal) != 0 ? "refusal"
            : "text";

    private static void Once(ref Turn turn, int bit, FieldPath path, string name)
    {
        if ((turn.Seen & bit) != 0) throw RequestErrors.Duplicate(path with { Middle = name });
        turn.Seen |= bit;
    }
}
