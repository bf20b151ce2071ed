using Fairlead.Access;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Errors;
using Fairlead.Pipeline;

namespace Fairlead.Delivery;

/// <summary>
/// Authenticates the callers of generating endpoints. A known key that is refused is recorded, so that its owner sees the misuse. Keys that
/// do not exist are not recorded; otherwise anyone could fill the audit log with them. Thread-safe.
/// </summary>
internal sealed class CallAuthentication(ICallerSource callers, CallReader reader, RefusalRecords refusals, CallEnder ender)
{
    /// <summary>The caller; null if the request was refused and its error is written.</summary>
    public async ValueTask<Caller?> AuthenticateAsync(ClientExchange exchange, Dialect dialect)
    {
        var authentication = await exchange.Request.AuthenticateAsync(callers, dialect.Scope);
        if (authentication.Caller is { } caller) return caller;

        var error = authentication.Error!;
        if (authentication.Refused is { } owner && refusals.TryTake(owner.KeyId, error.Code, out var suppressed))
        {
            var refused = reader.Create(exchange.Request, dialect, owner);
            refused.SuppressedRefusals = suppressed;
            await ender.EndAsync(refused, Outcome.Failed, error, ErrorBodyWriter.StatusOf(error, dialect.ErrorShape));
        }
        await exchange.Response.WriteErrorAsync(error, dialect.ErrorShape);
        return null;
    }
}
