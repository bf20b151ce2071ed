using Fairlead.Access;
using Fairlead.Errors;
using Fairlead.Storage;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Fairlead.Http;

/// <summary>Authenticates callers of the admin API, and turns refusals and store errors into problem documents.</summary>
internal sealed class AdminDoor(ICallerSource callers, ILogger<AdminDoor> logger)
{
    public async Task EnterAsync(HttpContext context, string scope, AdminHandler handler)
    {
        var (caller, refusal) = callers.Authenticate(context, scope);
        if (refusal is not null || caller is null)
        {
            await ErrorResponses.WriteAsync(context, refusal
                ?? new GatewayError(ErrorCode.InvalidApiKey, "This server does not know the API key."), ErrorShape.Problem);
            return;
        }
        GatewayError error;
        try
        {
            await handler(new AdminRequest(context, caller));
            return;
        }
        catch (GatewayErrorException fault)
        {
            error = fault.Error;
        }
        catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested)
        {
            return;
        }
        catch (Exception fault) when (StorageFaults.IsContradiction(fault))
        {
            error = new GatewayError(ErrorCode.Conflict, "The request conflicts with a concurrent change.");
        }
        catch (Exception fault) when (StorageFaults.IsStoreFault(fault))
        {
            AdminLog.StoreFailed(logger, fault);
            error = new GatewayError(ErrorCode.StoreUnavailable,
                "The store could not be reached.") { RetryAfter = TimeSpan.FromSeconds(1) };
        }
        await ErrorResponses.WriteAsync(context, error, ErrorShape.Problem);
    }
}
