using System.Buffers;
using System.Globalization;
using System.Text.Json;
using Fairlead.Errors;
using Microsoft.AspNetCore.Http;

namespace Fairlead.Http;

/// <summary>Writes the responses of the admin API.</summary>
internal static class AdminAnswer
{
    public static async Task WriteAsync(AdminRequest request, int status, Action<Utf8JsonWriter> write)
    {
        var buffer = new ArrayBufferWriter<byte>(1024);
        await using (var json = new Utf8JsonWriter(buffer, ErrorBodyWriter.WriterOptions)) write(json);
        var response = request.Context.Response;
        _ = RequestIds.Of(request.Context);
        response.StatusCode = status;
        response.ContentType = "application/json";
        response.ContentLength = buffer.WrittenCount;
        // Responses may contain a secret, so none may be cached.
        response.Headers.CacheControl = "no-store";
        await response.Body.WriteAsync(buffer.WrittenMemory, request.Cancellation);
    }

    /// <summary>Writes one page; <paramref name="rows"/> contains one row more than the page if there is a next page.</summary>
    public static Task WriteListAsync<T>(
        AdminRequest request, AdminPage page, List<T> rows, Func<T, string> id, Action<Utf8JsonWriter, T> write) =>
        WriteAsync(request, StatusCodes.Status200OK, json =>
        {
            var count = Math.Min(rows.Count, page.Limit);
            json.WriteStartObject();
            json.WriteStartArray("data");
            for (var i = 0; i < count; i++) write(json, rows[i]);
            json.WriteEndArray();
            if (rows.Count > page.Limit) json.WriteString("next_cursor", id(rows[count - 1]));
            else json.WriteNull("next_cursor");
            json.WriteEndObject();
        });

    public static void NoContent(AdminRequest request)
    {
        _ = RequestIds.Of(request.Context);
        request.Context.Response.StatusCode = StatusCodes.Status204NoContent;
    }

    /// <summary>RFC 3339 in UTC, to the millisecond.</summary>
    public static void WriteTime(Utf8JsonWriter json, string name, DateTimeOffset? time)
    {
        if (time is { } value) json.WriteString(name, value.UtcDateTime.ToString("yyyy-MM-ddTHH:mm:ss.fffZ", CultureInfo.InvariantCulture));
        else json.WriteNull(name);
    }

    public static void WriteNumber(Utf8JsonWriter json, string name, int? number)
    {
        if (number is { } value) json.WriteNumber(name, value);
        else json.WriteNull(name);
    }

    public static void WriteTexts(Utf8JsonWriter json, string name, IReadOnlyList<string>? texts)
    {
        if (texts is null)
        {
            json.WriteNull(name);
            return;
        }
        json.WriteStartArray(name);
        foreach (var text in texts) json.WriteStringValue(text);
        json.WriteEndArray();
    }

    public static GatewayErrorException NotFound(string what) =>
        new(new GatewayError(ErrorCode.NotFound, $"There is no {what} with this id."));

    public static GatewayErrorException Conflict(string message, string remedy) =>
        new(new GatewayError(ErrorCode.Conflict, message) { Remedy = remedy });
}
