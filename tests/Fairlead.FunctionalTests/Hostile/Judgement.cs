using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Fairlead.Errors;
using Fairlead.FunctionalTests.Common;
using Fairlead.FunctionalTests.Common.JsonSchema;
using Fairlead.FunctionalTests.Errors;

namespace Fairlead.FunctionalTests.Hostile;

/// <summary>What every refusal must be, whatever was sent.</summary>
internal static class Judgement
{
    /// <summary>The finer codes of OpenAI's dialect that stand where the catalogue says invalid_parameter or missing_parameter.</summary>
    private static readonly HashSet<string> Finer =
    [
        "invalid_type", "invalid_value", "missing_required_parameter", "unknown_parameter", "integer_below_min_value", "integer_above_max_value", "decimal_below_min_value", "decimal_above_max_value",
        "string_above_max_length", "empty_string", "empty_array", "array_above_max_length", "object_above_max_properties", "invalid_json_schema", "invalid_function_parameters",
    ];

    private static readonly string[] AlwaysSecret = [TestGateway.AdminKey, HostileGateway.UpstreamSecret, "Exception", "   at ", "System.", "Microsoft.", "Fairlead.", ".cs:", "SQLite", "stackalloc", "127.0.0.1:0", "/tmp/"];

    /// <summary>What is wrong with the refusal of a call whose own deadline passed, or null.</summary>
    public static string? OfDeadline(string text, Schema errors) =>
        text.Contains("\"deadline_exceeded\"", StringComparison.Ordinal) && errors.Faults(JsonNode.Parse(text)).Count == 0 ? null : $"504 {text}";

    /// <summary>What is wrong with a refusal, or null.</summary>
    public static string? OfRefusal(HostileGateway world, HttpResponseMessage response, string text, ErrorShape shape, Schema errors)
    {
        var status = (int)response.StatusCode;
        var shown = $"{status} {text[..Math.Min(400, text.Length)]}";
        if (status is < 400 or >= 500) return shown;
        if (response.Content.Headers.ContentType?.MediaType != ErrorBodyWriter.ContentTypeOf((Fairlead.Errors.ErrorShape)shape)) return $"As {response.Content.Headers.ContentType}: {shown}";
        JsonNode? body;
        try
        {
            body = JsonNode.Parse(text);
        }
        catch (JsonException fault)
        {
            return $"{fault.Message} {shown}";
        }
        if (errors.Faults(body) is { Count: > 0 } faults) return $"{string.Join(", ", faults)}: {shown}";

        var error = ErrorBody.Read(JsonDocument.Parse(text).RootElement, shape);
        var definition = ErrorCatalogue.Find(error.Code);
        if (definition is null && !(shape == ErrorShape.OpenAi && Finer.Contains(error.Code))) return $"The code is not in the list: {shown}";
        if (status != (definition is null ? 400 : shape == ErrorShape.Anthropic ? definition.AnthropicStatus : definition.Status)) return $"Another status than the code's: {shown}";
        var namesField = definition is null || definition.Code is ErrorCode.InvalidParameter or ErrorCode.MissingParameter or ErrorCode.UnsupportedParameter or ErrorCode.IncompatibleInput or ErrorCode.ModelNotFound;
        // Excessive depth and duplicate names are errors of the whole body.
        var isOfTheWhole = error.Message.Contains("nested deeper", StringComparison.Ordinal) || error.Message.Contains("twice", StringComparison.Ordinal);
        if (namesField && error.Parameters.Count == 0 && !isOfTheWhole) return $"No field is named: {shown}";
        if (error.Remedy.Contains("`param`", StringComparison.Ordinal) && (error.Parameters.Count == 0 || shape == ErrorShape.Problem)) return $"The remedy speaks of a field that is not named: {shown}";
        var id = response.Headers.TryGetValues("x-request-id", out var ids) ? string.Join(",", ids) : "";
        if (id != error.RequestId) return $"The header names request {id}: {shown}";
        var everything = $"{text.Replace(world.Gateway.Url, "", StringComparison.Ordinal)} {response.Headers}";
        foreach (var secret in AlwaysSecret)
        {
            if (everything.Contains(secret, StringComparison.Ordinal)) return string.Create(CultureInfo.InvariantCulture, $"Leaks '{secret}': {shown}");
        }
        return everything.Contains(world.Gateway.Key, StringComparison.Ordinal) || everything.Contains(world.Gateway.DataDirectory, StringComparison.Ordinal) ? $"Leaks a key or a folder: {shown}" : null;
    }
}
