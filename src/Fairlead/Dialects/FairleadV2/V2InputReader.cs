using System.Globalization;
using System.Text;
using System.Text.Json;
using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Pipeline;

namespace Fairlead.Dialects.FairleadV2;

/// <summary>
/// Reads <c>input</c>: a text, or items. The output of a generation consists of the same items, so that a client can send it back
/// unchanged.
/// </summary>
internal sealed class V2InputReader(RequestFacts facts, RequestBounds bounds, ReadOnlyMemory<byte> source)
{
    private readonly List<Part> _turn = [];
    private readonly List<Part> _results = [];
    private readonly Dictionary<string, string> _calls = new(StringComparer.Ordinal);
    private readonly OrderedDictionary<string, bool> _answered = new(StringComparer.Ordinal);
    private int _unanswered;
    private List<Message> _messages = [];
    private List<string> _places = [];
    private string _turnAt = "";
    private string _resultsAt = "";
    private long _mediaBytes;

    public static int BytesOf(string text) => Encoding.UTF8.GetByteCount(text);

    /// <param name="input">The field.</param>
    /// <param name="messages">Receives its messages.</param>
    /// <param name="places">Receives the position of each message in the request.</param>
    public void Read(V2Value input, List<Message> messages, List<string> places)
    {
        _messages = messages;
        _places = places;
        if (input.Element.ValueKind == JsonValueKind.String)
        {
            Add(Message.Of(Role.User, TextOf(input, mayBeEmpty: false)), input.At);
            facts.Note(RequestFeatures.UserText);
            facts.MessageCount = 1;
            return;
        }
        var isEmpty = true;
        foreach (var item in input.Items(bounds.MaxMessages))
        {
            isEmpty = false;
            facts.MessageCount++;
            Item(item);
        }
        if (isEmpty) throw input.Invalid("expected at least one item");
        Flush();
        if (_unanswered > 0) throw input.Invalid($"the tool call '{RequestErrors.Shown(_answered.First(call => !call.Value).Key)}' has "
            + "no result; send an item of type 'tool_result' with its id as 'tool_call_id'");
        if (messages.Count > 0 && messages[^1].Role == Role.Assistant) facts.Note(RequestFeatures.Prefill, input.At);
    }

    private void Item(V2Value item)
    {
        if (item.Element.ValueKind != JsonValueKind.Object) throw item.Type("an object");
        var type = item.Element.TryGetProperty("type", out var word) && word.ValueKind != JsonValueKind.Null
            ? new V2Value(word, item.Under("type")).Word("message", "tool_call", "tool_result", "reasoning")
            : "message";
        switch (type)
        {
            case "tool_call": Call(item); break;
            case "tool_result": Result(item); break;
            case "reasoning":
                foreach (var (member, value) in item.Members("type", "text"))
                {
                    if (member == "text") Made(new ReasoningPart(TextOf(value, mayBeEmpty: true), null), item);
                }
                break;
            default: Turn(item); break;
        }
    }

    private void Turn(V2Value item)
    {
        Role? role = null;
        V2Value? content = null;
        foreach (var (member, value) in item.Members("type", "role", "content"))
        {
            if (member == "role") role = value.Word("user", "assistant", "system", "developer") switch
            {
                "assistant" => Role.Assistant,
                "system" => Role.System,
                "developer" => Role.Developer,
                _ => Role.User,
            };
            else if (member == "content") content = value;
        }
        if (role is not { } who) throw item.Missing("role");
        if (content is not { } said) throw item.Missing("content");
        var parts = Parts(said, who);
        if (who == Role.Assistant)
        {
            // Two consecutive messages remain two.
            if (_turn.Exists(part => part is TextPart or RefusalPart)) Flush();
            foreach (var part in parts) Made(part, item);
            return;
        }
        Flush();
        Add(new Message(who, parts), item.At);
    }

    private void Call(V2Value item)
    {
        string? id = null, name = null, arguments = null;
        foreach (var (member, value) in item.Members("type", "id", "name", "arguments"))
        {
            if (member == "id") id = value.Text(256);
            else if (member == "name") name = value.Text(128);
            else if (member == "arguments") arguments = TextOf(value, mayBeEmpty: true);
        }
        if (id is null) throw item.Missing("id");
        if (name is null) throw item.Missing("name");
        if (arguments is null) throw item.Missing("arguments");
        if (!_calls.TryAdd(id, name)) throw item.Invalid($"another tool call has the id '{RequestErrors.Shown(id)}'");
        _answered.Add(id, false);
        _unanswered++;
        facts.TextBytes += BytesOf(name);
        Made(new ToolCallPart(id, name, arguments), item);
    }

    private void Result(V2Value item)
    {
        string? id = null;
        V2Value? output = null;
        var isError = false;
        foreach (var (member, value) in item.Members("type", "tool_call_id", "output", "is_error"))
        {
            if (member == "tool_call_id") id = value.Text(256);
            else if (member == "output") output = value;
            else if (member == "is_error") isError = value.Boolean();
        }
        if (id is null) throw item.Missing("tool_call_id");
        if (output is not { } given) throw item.Missing("output");
        if (!_calls.TryGetValue(id, out var name))
        {
            throw new V2Value(default, item.Under("tool_call_id")).Invalid($"there is no tool call '{RequestErrors.Shown(id)}' before it");
        }
        if (!_answered[id]) _unanswered--;
        _answered[id] = true;
        EndTurn();
        if (_results.Count == 0) _resultsAt = item.At;
        _results.Add(new ToolResultPart(id, Parts(given, Role.Tool)) { Name = name, IsError = isError });
    }

    private List<Part> Parts(V2Value content, Role role)
    {
        if (content.Element.ValueKind == JsonValueKind.String)
        {
            if (role == Role.User) facts.Note(RequestFeatures.UserText);
            return [new TextPart(TextOf(content, mayBeEmpty: role is Role.Assistant or Role.Tool))];
        }
        if (content.Element.ValueKind != JsonValueKind.Array) throw content.Type("a string or an array of parts");
        var parts = new List<Part>();
        foreach (var part in content.Items(bounds.MaxMessages)) parts.Add(Part(part, role));
        // A response without content is a message without content when a client sends it back.
        if (parts.Count == 0 && role != Role.Assistant) throw content.Invalid("expected at least one part");
        return parts;
    }

    private Part Part(V2Value part, Role role)
    {
        if (part.Element.ValueKind != JsonValueKind.Object) throw part.Type("an object");
        if (!part.Element.TryGetProperty("type", out var word)) throw part.Missing("type");
        var type = new V2Value(word, part.Under("type")).Word(role switch
        {
            Role.Assistant => ["text", "refusal"],
            Role.System or Role.Developer => ["text"],
            _ => ["text", "image", "audio", "file"],
        });
        switch (type)
        {
            case "text":
                if (role == Role.User) facts.Note(RequestFeatures.UserText);
                return new TextPart(TextOf(part));
            case "refusal": return new RefusalPart(TextOf(part));
            case "image": return Image(part);
            case "audio": return Audio(part);
            default: return File(part);
        }
    }

    private string TextOf(V2Value part)
    {
        string? text = null;
        foreach (var (member, value) in part.Members("type", "text"))
        {
            if (member == "text") text = TextOf(value, mayBeEmpty: true);
        }
        return text ?? throw part.Missing("text");
    }

    private ImagePart Image(V2Value part)
    {
        string? url = null, media = null, detail = null;
        MediaData? data = null;
        foreach (var (member, value) in part.Members("type", "url", "data", "media_type", "detail"))
        {
            switch (member)
            {
                case "url": url = Address(value); break;
                case "data": data = Media(value); break;
                case "media_type": media = value.Word("image/png", "image/jpeg", "image/gif", "image/webp"); break;
                case "detail": detail = value.Word("auto", "low", "high"); break;
            }
        }
        OneOf(part, url, data);
        if (data is not null && media is null) throw part.Missing("media_type");
        facts.ImageCount++;
        facts.Note(RequestFeatures.Images, part.At);
        return new ImagePart(url, data is null ? null : media, data) { Detail = detail };
    }

    private AudioPart Audio(V2Value part)
    {
        string? format = null;
        MediaData? data = null;
        foreach (var (member, value) in part.Members("type", "data", "format"))
        {
            if (member == "data") data = Media(value);
            else if (member == "format") format = value.Word("wav", "mp3");
        }
        if (data is null) throw part.Missing("data");
        if (format is null) throw part.Missing("format");
        facts.MediaBytes += data.Length;
        facts.Note(RequestFeatures.Audio, part.At);
        return new AudioPart(format, data);
    }

    private FilePart File(V2Value part)
    {
        string? url = null, media = null, name = null;
        MediaData? data = null;
        foreach (var (member, value) in part.Members("type", "url", "data", "media_type", "filename"))
        {
            switch (member)
            {
                case "url": url = Address(value); break;
                case "data": data = Media(value); break;
                case "media_type": media = value.Text(128); break;
                case "filename": name = value.Text(256); break;
            }
        }
        OneOf(part, url, data);
        if (data is not null && media is null) throw part.Missing("media_type");
        facts.MediaBytes += data?.Length ?? 0;
        facts.Note(RequestFeatures.Files, part.At);
        if (media == "application/pdf" || name?.EndsWith(".pdf", StringComparison.OrdinalIgnoreCase) == true)
        {
            facts.Note(RequestFeatures.PdfFiles, part.At);
        }
        return new FilePart { FileName = name, MediaType = media, Data = data, Url = url };
    }

    private static void OneOf(V2Value part, string? url, MediaData? data)
    {
        if (url is null == data is null) throw part.Invalid("expected either 'url' or 'data'");
    }

    private string Address(V2Value value)
    {
        var text = value.Text(8192);
        if (!text.StartsWith("https://", StringComparison.OrdinalIgnoreCase) && !text.StartsWith("http://", StringComparison.OrdinalIgnoreCase))
        {
            throw value.Invalid("expected an https address; send bytes as 'data', in base64, with their 'media_type'");
        }
        facts.NoteAddress(Encoding.UTF8.GetBytes(text), isEscaped: false, value.At);
        return text;
    }

    private MediaData Media(V2Value value)
    {
        var data = value.Media(source);
        facts.InlineBytes += data.Length;
        if ((_mediaBytes += data.Length) > bounds.MaxMediaBytes)
        {
            throw new GatewayErrorException(new GatewayError(ErrorCode.PayloadTooLarge,
                string.Create(CultureInfo.InvariantCulture,
                    $"The inline media of the request exceed {bounds.MaxMediaBytes} bytes of base64.")) { Parameter = value.At });
        }
        return System.Buffers.Text.Base64.IsValid(data.Base64.Span) ? data : throw value.Invalid("expected base64");
    }

    private string TextOf(V2Value value, bool mayBeEmpty)
    {
        var text = value.Text(mayBeEmpty: mayBeEmpty);
        facts.TextBytes += BytesOf(text);
        return text;
    }

    private void Made(Part part, V2Value item)
    {
        EndResults();
        if (_turn.Count == 0) _turnAt = item.At;
        _turn.Add(part);
    }

    private void Add(Message message, string place)
    {
        _messages.Add(message);
        _places.Add(place);
    }

    private void Flush()
    {
        EndTurn();
        EndResults();
    }

    private void EndTurn()
    {
        if (_turn.Count == 0) return;
        Add(new Message(Role.Assistant, [.. _turn]), _turnAt);
        _turn.Clear();
    }

    private void EndResults()
    {
        if (_results.Count == 0) return;
        Add(new Message(Role.Tool, [.. _results]), _resultsAt);
        _results.Clear();
    }
}
