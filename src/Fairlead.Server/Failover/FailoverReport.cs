using System.Globalization;
using System.Text;
using System.Text.Json;

namespace Fairlead.Server.Failover;

/// <summary>Writes the results of the suite, for people and for programs.</summary>
internal static class FailoverReport
{
    private const string Format = "{0,-6}  {1,-24}  {2,-24}  {3,-8}  {4,-7}  {5,8}  {6,6}  {7}";

    private static readonly CompositeFormat Line = CompositeFormat.Parse(Format);

    /// <summary>The head of the table.</summary>
    public static string Head { get; } =
        string.Format(CultureInfo.InvariantCulture, Line, "RESULT", "CASE", "MODEL", "MODE", "GOT", "REQUESTS", "TIME", "DETAIL").TrimEnd();

    /// <summary>A line of the table.</summary>
    public static string Row(FailoverResult result) => string.Format(
        CultureInfo.InvariantCulture, Line, result.Verdict.Passed ? "pass" : "FAIL", result.Case, result.Model,
        result.IsStream ? "stream" : "whole", result.Verdict.Result, result.Requests,
        result.Duration.TotalSeconds.ToString("0.0", CultureInfo.InvariantCulture) + " s", result.Verdict.Detail).TrimEnd();

    /// <summary>The last line.</summary>
    public static string Summary(IReadOnlyList<FailoverResult> results)
    {
        var failed = results.Count(result => !result.Verdict.Passed);
        var errors = results.Count(result => result.Verdict is { Passed: true, Result: "error" });
        var rescued = results.Count(result => result.Verdict is { Passed: true, Result: "rescued" });
        var passed = results.Count - failed;
        return $"{passed} of {results.Count} passed: {passed - errors} with the complete text, {rescued} of them rescued in the middle "
            + $"of the stream, {errors} with a clear error.";
    }

    /// <summary>All results as a JSON object.</summary>
    public static byte[] Json(string api, IReadOnlyList<FailoverResult> results)
    {
        using var output = new MemoryStream();
        using (var json = new Utf8JsonWriter(output, new JsonWriterOptions { Indented = true }))
        {
            json.WriteStartObject();
            json.WriteString("api", api);
            json.WriteNumber("passed", results.Count(result => result.Verdict.Passed));
            json.WriteNumber("failed", results.Count(result => !result.Verdict.Passed));
            json.WriteStartArray("results");
            foreach (var result in results)
            {
                json.WriteStartObject();
                json.WriteString("case", result.Case);
                json.WriteString("model", result.Model);
                json.WriteBoolean("stream", result.IsStream);
                json.WriteBoolean("passed", result.Verdict.Passed);
                json.WriteString("got", result.Verdict.Result);
                json.WriteString("detail", result.Verdict.Detail);
                json.WriteNumber("requests", result.Requests);
                json.WriteNumber("duration_ms", (long)result.Duration.TotalMilliseconds);
                json.WriteEndObject();
            }
            json.WriteEndArray();
            json.WriteEndObject();
        }
        return output.ToArray();
    }
}
