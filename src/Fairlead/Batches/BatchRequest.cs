using System.Security.Cryptography;
using System.Text.Json;
using Fairlead.Errors;
using Fairlead.Files;

namespace Fairlead.Batches;

/// <summary>What <c>POST /v1/batches</c> asks for.</summary>
internal sealed record BatchRequest(string InputFileId, string Endpoint, IReadOnlyDictionary<string, string>? Metadata,
    TimeSpan? OutputTtl, byte[] Fingerprint)
{
    private const int MaxPairs = 16;
    private const int LongestKey = 64;
    private const int LongestValue = 512;

    private static readonly JsonDocumentOptions Options = new() { MaxDepth = 8, AllowDuplicateProperties = false };

    /// <summary>Reads the body.</summary>
    /// <exception cref="GatewayErrorException">A field is not accepted.</exception>
    public static BatchRequest Read(ReadOnlyMemory<byte> body)
    {
        try
        {
            using var document = JsonDocument.Parse(body, Options);
            return Read(document.RootElement, body.Span);
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            throw new GatewayErrorException(new GatewayError(ErrorCode.MalformedJson,
                "The body is not valid JSON, is nested too deeply or names a field twice."));
        }
    }

    private static BatchRequest Read(JsonElement root, ReadOnlySpan<byte> body)
    {
        if (root.ValueKind != JsonValueKind.Object)
            throw new GatewayErrorException(new GatewayError(ErrorCode.MalformedJson, "The body is not a JSON object."));
        foreach (var member in root.EnumerateObject())
        {
            if (member.Name is not ("input_file_id" or "endpoint" or "completion_window" or "metadata" or "output_expires_after"))
            {
                var name = member.Name.Length > 64 ? member.Name[..64] : member.Name;
                throw Refuse(name, $"Unknown parameter: '{name}'.", "unknown_parameter");
            }
        }
        var file = Text(root, "input_file_id");
        var endpoint = Text(root, "endpoint");
        if (!BatchEndpointNames.All.Contains(endpoint))
        {
            throw Refuse("endpoint",
                $"Invalid value for 'endpoint': accepted are {string.Join(", ", BatchEndpointNames.All.Select(path => $"'{path}'"))}.",
                "invalid_value");
        }

        if (Text(root, "completion_window") != "24h")
            throw Refuse("completion_window", "Invalid value for 'completion_window': accepted is '24h'.", "invalid_value");
        return new BatchRequest(file, endpoint, MetadataOf(root), OutputTtlOf(root), SHA256.HashData(body));
    }

    private static string Text(JsonElement root, string name)
    {
        if (!root.TryGetProperty(name, out var value) || value.ValueKind == JsonValueKind.Null)
            throw new GatewayErrorException(GatewayError.Missing(name));
        if (value.ValueKind != JsonValueKind.String) throw Refuse(name, $"Invalid type for '{name}': expected a string.", "invalid_type");
        return value.GetString()!;
    }

    private static Dictionary<string, string>? MetadataOf(JsonElement root)
    {
        if (!root.TryGetProperty("metadata", out var value) || value.ValueKind == JsonValueKind.Null) return null;
        if (value.ValueKind != JsonValueKind.Object)
            throw Refuse("metadata", "Invalid type for 'metadata': expected an object of strings.", "invalid_type");
        var pairs = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var member in value.EnumerateObject())
        {
            if (member.Value.ValueKind != JsonValueKind.String)
                throw Refuse("metadata", "Invalid type for a value of 'metadata': expected a string.", "invalid_type");
            if (member.Name.Length > LongestKey || member.Value.GetString()!.Length > LongestValue || pairs.Count == MaxPairs)
            {
                throw Refuse("metadata",
                    $"'metadata' may have at most {MaxPairs} pairs, names of at most {LongestKey} and values of at most "
                    + $"{LongestValue} characters.", "invalid_value");
            }

            pairs[member.Name] = member.Value.GetString()!;
        }
        return pairs;
    }

    private static TimeSpan? OutputTtlOf(JsonElement root)
    {
        if (!root.TryGetProperty("output_expires_after", out var value) || value.ValueKind == JsonValueKind.Null) return null;
        if (value.ValueKind != JsonValueKind.Object)
            throw Refuse("output_expires_after", "Invalid type for 'output_expires_after': expected an object.", "invalid_type");
        foreach (var member in value.EnumerateObject())
        {
            if (member.Name is not ("anchor" or "seconds"))
            {
                throw Refuse("output_expires_after", "'output_expires_after' may contain only 'anchor' and 'seconds'.",
                    "unknown_parameter");
            }
        }
        if (!value.TryGetProperty("anchor", out var anchor) || anchor.ValueKind != JsonValueKind.String
            || anchor.GetString() != "created_at")
        {
            throw Refuse("output_expires_after.anchor", "Invalid value for 'output_expires_after.anchor': expected 'created_at'.",
                "invalid_value");
        }

        if (!value.TryGetProperty("seconds", out var given) || given.ValueKind != JsonValueKind.Number
            || !given.TryGetInt32(out var seconds) || seconds is < FileUpload.MinSeconds or > FileUpload.MaxSeconds)
        {
            throw Refuse("output_expires_after.seconds",
                $"Invalid value for 'output_expires_after.seconds': expected an integer from {FileUpload.MinSeconds} to "
                + $"{FileUpload.MaxSeconds}.", "invalid_value");
        }

        return TimeSpan.FromSeconds(seconds);
    }

    private static GatewayErrorException Refuse(string field, string message, string code) =>
        new(GatewayError.Invalid(field, message) with { OpenAiCode = code });
}
