using System.Buffers;
using System.Text.Json;

namespace Fairlead.Batches;

/// <summary>One request of a batch: a parsed line of its input file.</summary>
/// <param name="CustomId">How the sender finds the response.</param>
/// <param name="Model">The model of its body; empty when there is none.</param>
/// <param name="BodyStart">Where in the line the body starts.</param>
/// <param name="BodyLength">Its length in bytes.</param>
internal readonly record struct BatchLine(string CustomId, string Model, int BodyStart, int BodyLength)
{
    /// <summary>Deeper than any body may be; the endpoint has its own limit.</summary>
    private const int MaxDepth = 300;

    /// <summary>Parses a line, or reports what is wrong with it.</summary>
    /// <param name="line">The bytes between two line ends.</param>
    /// <param name="endpoint">Path of the batch.</param>
    /// <param name="number">Number of the line, for the error.</param>
    public static (BatchLine Line, BatchError? Fault) Read(ReadOnlySpan<byte> line, string endpoint, int number)
    {
        try
        {
            return ReadMembers(line, endpoint, number);
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            // The second for a text that is not Unicode.
            return (default, new BatchError("invalid_json_line", "This line is not parseable as valid JSON.", null, number));
        }
    }

    private static (BatchLine Line, BatchError? Fault) ReadMembers(ReadOnlySpan<byte> line, string endpoint, int number)
    {
        var json = new Utf8JsonReader(line, new JsonReaderOptions { MaxDepth = MaxDepth });
        string? id = null, method = null, url = null, model = null;
        var (start, length, seen) = (0, 0, 0);
        if (!json.Read() || json.TokenType != JsonTokenType.StartObject)
            return Fault("invalid_json_line", "This line is not a JSON object.", null);
        while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
        {
            var member = json.ValueTextEquals("custom_id"u8) ? 1 : json.ValueTextEquals("method"u8) ? 2 : json.ValueTextEquals("url"u8) ? 4
                : json.ValueTextEquals("body"u8) ? 8 : 0;
            if ((seen & member) != 0) return Fault("invalid_json_line", $"'{NameOf(member)}' occurs twice in this line.", NameOf(member));
            seen |= member;
            if (member == 0) return Fault("unknown_parameter", "A line may contain only 'custom_id', 'method', 'url' and 'body'.", null);
            json.Read();
            if (member == 8)
            {
                if (json.TokenType != JsonTokenType.StartObject)
                    return Fault("invalid_type", "Invalid type for 'body': expected an object.", "body");
                start = (int)json.TokenStartIndex;
                model = ReadModel(ref json);
                length = (int)json.BytesConsumed - start;
                continue;
            }
            if (json.TokenType != JsonTokenType.String)
                return Fault("invalid_type", $"Invalid type for '{NameOf(member)}': expected a string.", NameOf(member));
            var value = json.GetString()!;
            if (member == 1) id = value;
            else if (member == 2) method = value;
            else url = value;
        }
        // Read to the end: more text after the object makes it invalid JSON.
        while (json.Read())
        {
        }
        if (seen != 15)
        {
            var missing = NameOf((seen & 1) == 0 ? 1 : (seen & 2) == 0 ? 2 : (seen & 4) == 0 ? 4 : 8);
            return Fault("missing_required_parameter", $"Missing required parameter: '{missing}'.", missing);
        }
        if (id is not { Length: >= 1 and <= BatchLimits.MaxCustomId })
            return Fault("invalid_value", $"'custom_id' must have 1 to {BatchLimits.MaxCustomId} characters.", "custom_id");
        if (method != "POST") return Fault("invalid_method", "Invalid value for 'method': only 'POST' is supported.", "method");
        if (url != endpoint) return Fault("invalid_url", $"The url of this line is not the endpoint of the batch, '{endpoint}'.", "url");
        return (new BatchLine(id, model ?? "", start, length), null);

        (BatchLine, BatchError) Fault(string code, string message, string? param) =>
            (default, new BatchError(code, message, param, number));
    }

    private static string? ReadModel(ref Utf8JsonReader json)
    {
        string? model = null;
        var depth = json.CurrentDepth;
        while (json.Read() && json.CurrentDepth > depth)
        {
            if (json.TokenType != JsonTokenType.PropertyName || json.CurrentDepth != depth + 1) continue;
            var isModel = json.ValueTextEquals("model"u8);
            json.Read();
            if (isModel && json.TokenType == JsonTokenType.String) model = json.GetString();
            else json.Skip();
        }
        return model;
    }

    private static string NameOf(int member) => member switch
    {
        1 => "custom_id",
        2 => "method",
        4 => "url",
        _ => "body",
    };
}
