using Fairlead.Access;
using Fairlead.Errors;
using Fairlead.Storage;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Fairlead.Http;

/// <summary>
/// The HTTP entry point of every endpoint that needs a key and calls no model: 1. authenticate the caller, 2. let the handler read and
/// serve the request, 3. write its result, 4. turn expected exceptions into error responses. <see cref="ErrorEdgeMiddleware"/> logs every
/// other exception and returns <c>internal_error</c>. Thread-safe.
/// </summary>
internal sealed class EndpointInvoker(ICallerSource callers, ILogger<EndpointInvoker> logger, AdminSignIns? signIns = null)
{
    public async Task InvokeAsync(HttpContext context, EndpointPolicy policy, EndpointHandler handler)
    {
        var shape = policy.ShapeFor(context.Request);
        RequestIds.Of(context);

        // 1.
        var authentication = await callers.AuthenticateAsync(context, policy.Scope);
        if (authentication.Caller is not { } caller)
        {
            NoteRefused(context, policy, authentication.Refused, authentication.Error!);
            await ErrorResponses.WriteAsync(context, authentication.Error!, shape);
            return;
        }

        if (policy.Refuses(caller) is { } refusal)
        {
            NoteRefused(context, policy, caller, refusal);
            await ErrorResponses.WriteAsync(context, refusal, shape);
            return;
        }
        if (policy.IsAdministration) signIns?.Accepted(caller, context.Connection.RemoteIpAddress, RequestIds.Of(context));

        using var request = new EndpointRequest(context, caller, shape);
        GatewayError error;
        try
        {
            // 2.
            var result = await handler(request);

            // 3.
            await result.WriteAsync(context, shape);
            return;
        }
        catch (Exception exception) when (IsDisconnect(context, exception))
        {
            // The client disconnected while it sent its body or read the response.
            return;
        }
        catch (Exception exception) when (IsExpected(exception) && !context.Response.HasStarted)
        {
            // 4.
            error = ErrorOf(exception, policy);
            if (error.Definition.Status is StatusCodes.Status401Unauthorized or StatusCodes.Status403Forbidden)
                NoteRefused(context, policy, caller, error);
        }
        await ErrorResponses.WriteAsync(context, error, shape);
    }

    private void NoteRefused(HttpContext context, EndpointPolicy policy, Caller? caller, GatewayError error)
    {
        if (!policy.IsAdministration || signIns is null) return;
        signIns.Refused(caller, context.Connection.RemoteIpAddress, RequestIds.Of(context), error, $"{context.Request.Method} {context.Request.Path}");
    }

    private static bool IsDisconnect(HttpContext context, Exception exception) => exception is ConnectionResetException
        || (exception is OperationCanceledException or IOException && context.RequestAborted.IsCancellationRequested);

    // Memory that is used up is a GatewayErrorException; an IOException is the disk's, or a body that ended early.
    private static bool IsExpected(Exception exception) =>
        exception is GatewayErrorException or IOException || StorageErrors.IsStoreError(exception);

    private GatewayError ErrorOf(Exception exception, EndpointPolicy policy)
    {
        switch (exception)
        {
            case GatewayErrorException refused:
                return refused.Error;

            case BadHttpRequestException broken:
                return RequestReader.BrokenBody(broken);

            case var _ when StorageErrors.IsConstraintViolation(exception):
                return new GatewayError(ErrorCode.Conflict, "The request conflicts with a concurrent change.");

            default:
                policy.LogStoreError(logger, exception);
                return policy.StoreError;
        }
    }
}
