using System.Text;
using Fairlead.Errors;

namespace Fairlead.Server.Documentation;

/// <summary>
/// Writes <c>docs/errors.md</c> from the closed list of errors. <c>fairlead docs errors</c> runs it; a test compares the result.
/// </summary>
internal static class ErrorsPage
{
    public static string Write()
    {
        var page = new StringBuilder();
        page.Append("""
            # Errors

            Every error has one code of the list below. The OpenAI interfaces send a [finer code](#finer-codes) in its place where their
            clients know one. Both lists are closed: a code you do not find here does not exist. This page is generated from the program (`fairlead docs errors`).

            ## How an error looks

            Each interface returns errors in its own shape, so that official SDKs raise their own exceptions. The status is the same
            everywhere, except that the Anthropic interface has three of its own (529, 402, and 500 where others say 502).

            On `/v1/chat/completions`, `/v1/completions`, `/v1/embeddings` and `/v1/models`:

            ```json
            {
              "error": {
                "message": "The model `gpt-9` does not exist or this key has no access to it.",
                "type": "invalid_request_error",
                "param": "model",
                "code": "model_not_found",
                "request_id": "req_01KB0000000000000000000000",
                "retryable": false,
                "retry_after_ms": null,
                "remedy": "GET /v1/models lists the models this key may use.",
                "doc_url": "http://127.0.0.1:8080/docs/errors#model_not_found",
                "details": null
              }
            }
            ```

            On `/v1/messages`:

            ```json
            {
              "type": "error",
              "error": {
                "type": "not_found_error",
                "message": "The model `gpt-9` does not exist or this key has no access to it.",
                "code": "model_not_found",
                "param": "model",
                "retryable": false,
                "retry_after_ms": null,
                "remedy": "GET /v1/models lists the models this key may use.",
                "doc_url": "http://127.0.0.1:8080/docs/errors#model_not_found",
                "details": null
              },
              "request_id": "req_01KB0000000000000000000000"
            }
            ```

            On `/v2` and `/admin`, problem details (RFC 9457), `application/problem+json`:

            ```json
            {
              "type": "http://127.0.0.1:8080/docs/errors#not_found",
              "title": "There is nothing at this address",
              "status": 404,
              "detail": "There is no project proj_01KB0000000000000000000000.",
              "code": "not_found",
              "request_id": "req_01KB0000000000000000000000",
              "retryable": false,
              "retry_after_ms": null,
              "remedy": "Check the path and the id; ids of other projects are not visible to this key.",
              "doc_url": "http://127.0.0.1:8080/docs/errors#not_found",
              "details": null,
              "errors": []
            }
            ```

            `doc_url` leads to the code's entry on this page of the server that answered. Behind a proxy, set `publicUrl` in the
            [configuration](configuration.md#top-level), so that it names the address your clients know.

            ## When to retry

            * `retryable: true` says that the same request may succeed later. `retry_after_ms` says when, where the server knows.
            * `Retry-After` (seconds) and `retry-after-ms` tell SDKs the same, which obey them without your code. A wait of more than
              60 seconds stands in the body only, because some clients would sleep for it.
            * `x-should-retry: false` is sent where clients would retry by status although it cannot help.
            * An error after the start of a stream is the stream's last event; see [Streaming](streaming.md#when-a-stream-fails).
            * Report problems with the `x-request-id` of the response: the operator finds the call by it.


            """.ReplaceLineEndings("\n"));

        foreach (var group in Enum.GetValues<ErrorGroup>())
        {
            page.Append("## ").Append(TitleOf(group)).Append("\n\n").Append(AboutOf(group)).Append("\n\n");
            foreach (var error in ErrorCatalogue.All.Where(e => e.Group == group)) Write(page, error);
        }
        WriteFiner(page);
        return page.ToString().TrimEnd('\n') + "\n";
    }

    private static void Write(StringBuilder page, ErrorDefinition error)
    {
        page.Append("### ").Append(error.Name).Append("\n\n");
        page.Append("**").Append(error.Title).Append(".** ").Append(error.Remedy).Append("\n\n");
        page.Append("| Status | Type (OpenAI) | Type (Anthropic) | Retry |\n|---|---|---|---|\n");
        page.Append("| ").Append(error.Status);
        if (error.AnthropicStatus != error.Status) page.Append("; Anthropic: ").Append(error.AnthropicStatus);
        page.Append(" | `").Append(error.OpenAiType).Append("` | `").Append(error.AnthropicType).Append("` | ")
            .Append(error.Retryable ? "yes" : "no").Append(" |\n\n");
    }

    private static void WriteFiner(StringBuilder page)
    {
        page.Append("""
            ## Finer codes

            `error.code` of the OpenAI interfaces (`/v1`, without `/v1/messages`) holds one of these where there is one. Status, `type`, `doc_url` and advice are those of
            the code it stands for, which the Anthropic interface and problem details name themselves.

            | Code | Stands for | Meaning |
            |---|---|---|

            """.ReplaceLineEndings("\n"));
        foreach (var code in FinerCodes.Requests)
        {
            page.Append("| `").Append(code.Name).Append("` | ")
                .Append(string.Join(", ", code.Of.Split(", ").Select(of => $"[`{of}`](#{of})"))).Append(" | ").Append(code.Meaning)
                .Append(" |\n");
        }

        page.Append("""

            `error.code` of a response object (`/v1/responses`, also in the events `error` and `response.failed`) is one of OpenAI's own list:

            | Code | Stands for | Meaning |
            |---|---|---|

            """.ReplaceLineEndings("\n"));
        foreach (var code in FinerCodes.Responses)
            page.Append("| `").Append(code.Name).Append("` | ").Append(code.Of).Append(" | ").Append(code.Meaning).Append(" |\n");
        page.Append("""

            `errors` of a [batch](batches.md) object holds finer codes of the first table, `model_not_found`, `model_not_allowed`, `model_retired`, and these:

            | Code | Meaning |
            |---|---|

            """.ReplaceLineEndings("\n"));
        foreach (var code in FinerCodes.Batches) page.Append("| `").Append(code.Name).Append("` | ").Append(code.Meaning).Append(" |\n");
    }

    private static string TitleOf(ErrorGroup group) => group switch
    {
        ErrorGroup.Request => "The request",
        ErrorGroup.Access => "Access",
        ErrorGroup.Limits => "Limits",
        ErrorGroup.Provider => "The provider",
        _ => "The server",
    };

    private static string AboutOf(ErrorGroup group) => group switch
    {
        ErrorGroup.Request => "The request itself is invalid; the same request will be refused again.",
        ErrorGroup.Access => "The key is missing, invalid, or not allowed to do this.",
        ErrorGroup.Limits => "A limit or a deadline was reached; a later request may succeed.",
        ErrorGroup.Provider =>
            "The model's provider failed or refused. A provider's own message is shown only where it is known to be harmless.",
        _ => "Fairlead itself failed or is shutting down.",
    };
}
