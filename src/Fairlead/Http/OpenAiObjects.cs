using System.Buffers;
using System.Text.Json;
using Fairlead.Access;
using Fairlead.Errors;
using Fairlead.Files;
using Fairlead.Storage;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Fairlead.Http;

/// <summary>The edge of the endpoints that store and read OpenAI objects: authentication, responses and errors.</summary>
internal sealed class OpenAiObjects(ICallerSource callers, ILogger<OpenAiObjects> logger)
{
    /// <summary>Sends what <paramref name="serve"/> wrote, or the error that it returns.</summary>
    public async Task ServeAsync(HttpContext context, Func<Caller, Task<GatewayError?>> serve)
    {
        RequestIds.Of(context);
        var authentication = callers.Authenticate(context, Scopes.Batches);
        if (authentication.Caller is not { } caller)
        {
            await ErrorResponses.WriteAsync(context, authentication.Error!, ErrorShape.OpenAi);
            return;
        }
        GatewayError? error;
        try
        {
            error = await serve(caller);
        }
        catch (Exception exception) when (exception is OperationCanceledException or IOException
            && context.RequestAborted.IsCancellationRequested || exception is ConnectionResetException)
        {
            // The client disconnected while it sent its body or read the response.
            return;
        }
        catch (GatewayErrorException refused) when (!context.Response.HasStarted)
        {
            error = refused.Error;
        }
        catch (BadHttpRequestException broken) when (!context.Response.HasStarted)
        {
            error = RequestReader.BrokenBody(broken);
        }
        catch (Exception exception) when ((StorageFaults.IsStoreFault(exception) || exception is IOException)
            && !context.Response.HasStarted)
        {
            FilesLog.StoreUnavailable(logger, StorageFaults.Describe(exception));
            error = new GatewayError(ErrorCode.StoreUnavailable,
                "Files and batches cannot be stored or read at the moment.") { RetryAfter = TimeSpan.FromSeconds(5) };
        }
        if (error is not null) await ErrorResponses.WriteAsync(context, error, ErrorShape.OpenAi);
    }

    public static async Task WriteAsync(HttpContext context, Action<Utf8JsonWriter> write)
    {
        var body = new ArrayBufferWriter<byte>(1024);
        using (var json = new Utf8JsonWriter(body, ErrorBodyWriter.WriterOptions)) write(json);
        context.Response.ContentType = "application/json";
        context.Response.Headers.CacheControl = "no-store";
        context.Response.ContentLength = body.WrittenCount;
        await context.Response.BodyWriter.WriteAsync(body.WrittenMemory, context.RequestAborted);
    }

    /// <summary>Writes one page of a list.</summary>
    /// <param name="context">The request.</param>
    /// <param name="rows">The page, and one more row if there is a next page.</param>
    /// <param name="limit">Rows per page.</param>
    /// <param name="idOf">The id of a row.</param>
    /// <param name="write">Writes a row.</param>
    public static Task WriteListAsync<TRow>(HttpContext context, IReadOnlyList<TRow> rows, int limit, Func<TRow, string> idOf,
        Action<Utf8JsonWriter, TRow> write) => WriteAsync(context, json =>
    {
        var shown = Math.Min(rows.Count, limit);
        json.WriteStartObject();
        json.WriteString("object", "list");
        json.WriteStartArray("data");
        for (var i = 0; i < shown; i++) write(json, rows[i]);
        json.WriteEndArray();
        json.WriteString("first_id", shown > 0 ? idOf(rows[0]) : null);
        json.WriteString("last_id", shown > 0 ? idOf(rows[shown - 1]) : null);
        json.WriteBoolean("has_more", rows.Count > limit);
        json.WriteEndObject();
    });
}
