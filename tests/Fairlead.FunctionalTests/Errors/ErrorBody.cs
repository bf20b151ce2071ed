using System.Text.Json;
using Fairlead.Errors;

namespace Fairlead.FunctionalTests.Errors;

/// <summary>What every shape of error says, read strictly: a member that is missing fails.</summary>
internal sealed record ErrorBody(string Type, string Code, string Message, string RequestId, string Remedy, string DocUrl, bool Retryable, long? RetryAfterMs, IReadOnlyList<string> Parameters)
{
    public static ErrorBody Read(JsonElement body, ErrorShape shape)
    {
        if (shape == ErrorShape.Anthropic) Assert.Equal("error", Text(body, "type"));
        var error = shape == ErrorShape.Problem ? body : body.GetProperty("error");
        var wait = error.GetProperty("retry_after_ms");
        List<string> parameters = [];
        if (shape == ErrorShape.Problem) parameters.AddRange(error.GetProperty("errors").EnumerateArray().Select(fault => Text(fault, "pointer")));
        else if (error.GetProperty("param").ValueKind != JsonValueKind.Null) parameters.Add(Text(error, "param"));
        return new(
            Text(error, "type"),
            Text(error, "code"),
            Text(error, shape == ErrorShape.Problem ? "detail" : "message"),
            Text(shape == ErrorShape.Anthropic ? body : error, "request_id"),
            Text(error, "remedy"),
            Text(error, "doc_url"),
            error.GetProperty("retryable").GetBoolean(),
            wait.ValueKind == JsonValueKind.Null ? null : wait.GetInt64(),
            parameters);
    }

    private static string Text(JsonElement json, string name) => json.GetProperty(name).GetString()!;
}
