using System.Net;
using Fairlead.Access.Tokens;
using Fairlead.Errors;
using Microsoft.AspNetCore.Http;

namespace Fairlead.Access;

/// <summary>
/// Keys from the store and from the environment, and tokens of identity providers. The order of the checks is a guarantee: only a caller with the full secret
/// learns that a key is revoked, expired or restricted to other addresses.
/// </summary>
internal sealed class ApiKeyCallerSource(
    CallerSnapshots snapshots, AdminKey adminKey, TimeProvider time, ClientKey? clientKey = null, TokenCallers? tokens = null,
    WrongKeys? wrongKeys = null) : ICallerSource
{
    private static readonly AuthenticationResult Missing = Refusal(ErrorCode.MissingApiKey,
        "No API key was sent. Send it as 'Authorization: Bearer <key>', 'x-api-key: <key>' or 'api-key: <key>'.");
    private static readonly AuthenticationResult Repeated = Refusal(ErrorCode.InvalidApiKey,
        "The header with the API key was sent more than once. Send one key.");
    private static readonly AuthenticationResult Unknown = Refusal(ErrorCode.InvalidApiKey, "This server does not know the API key.");
    private static readonly AuthenticationResult Malformed = Refusal(ErrorCode.InvalidApiKey,
        "This is not a key of this server, or it was truncated or mistyped: keys start with 'fl_' and have 69 characters.");
    private static readonly AuthenticationResult Revoked = Refusal(ErrorCode.KeyRevoked, "The API key has been revoked.");
    private static readonly AuthenticationResult Expired = Refusal(ErrorCode.KeyExpired, "The API key has expired.");
    private static readonly AuthenticationResult Retired = Refusal(ErrorCode.KeyExpired,
        "This secret of the API key was rotated and its overlap has ended. Use the key's new secret.");
    private static readonly AuthenticationResult WrongAddress = Refusal(ErrorCode.AddressNotAllowed,
        "The API key may not be used from this address.");

    private static readonly AuthenticationResult NotLoaded = new(null,
        new GatewayError(ErrorCode.StoreUnavailable, "The keys have not been loaded yet.") { RetryAfter = TimeSpan.FromSeconds(1) });
    private static readonly AuthenticationResult NotReadable = new(null,
        new GatewayError(ErrorCode.StoreUnavailable,
        "The API key is unknown, and the server cannot read its key store at the moment.") { RetryAfter = TimeSpan.FromSeconds(5) });

    public ValueTask<AuthenticationResult> AuthenticateAsync(HttpContext context, string? scope)
    {
        var presented = PresentedKey.Of(context.Request.Headers);
        if (presented.IsRepeated) return new(Repeated);
        if (presented.Text.IsEmpty) return new(Missing);

        var snapshot = snapshots.Current;
        var wellFormed = ApiKeyText.TryParse(presented.Text, out var publicId);
        var secret = wellFormed ? snapshot?.Find(publicId) : null;
        if (secret is null || !secret.Matches(presented.Text))
        {
            if (adminKey.Matches(presented.Text)) return new(Permit(adminKey.Caller, scope));
            if (clientKey?.Matches(presented.Text) == true) return new(Permit(clientKey.Caller, scope));
            if (!wellFormed && tokens is { IsConfigured: true } && TokenText.MayBe(presented.Text))
            {
                if (tokens.Find(presented.Text) is { } known) return new(Of(known.Caller, known.Error, scope));
                // A signature costs much more than a look-up, so an address that sent too many wrong keys has few of them.
                return wrongKeys?.RefusesVerification(context.Connection.RemoteIpAddress) is { } refused
                    ? new(refused) : VerifyAsync(context, presented.Text.ToString(), scope);
            }
            if (wellFormed && snapshot is null) return new(NotLoaded);
            // Another node may have created the key since. A key whose secret is wrong stays wrong.
            var mayBeNew = wellFormed && secret is null && snapshots.IsStale;
            return new(mayBeNew ? NotReadable : Wrong(context, wellFormed ? Unknown : Malformed));
        }

        var caller = secret.Caller;
        if (secret.RevokedAt is not null) return new(Revoked with { Refused = caller });
        var now = time.GetUtcNow();
        if (caller.ExpiresAt is not null || caller.SecretRetiresAt is not null)
        {
            if (caller.ExpiresAt <= now) return new(Expired with { Refused = caller });
            if (caller.SecretRetiresAt <= now) return new(Retired with { Refused = caller });
        }
        if (caller.Addresses.Count > 0 && !IsAllowed(caller.Addresses, context.Connection.RemoteIpAddress))
            return new(WrongAddress with { Refused = caller });
        secret.Use.Note(now);
        return new(Permit(caller, scope));
    }

    private async ValueTask<AuthenticationResult> VerifyAsync(HttpContext context, string token, string? scope)
    {
        var (caller, error) = await tokens!.VerifyAsync(token, context.RequestAborted);
        var result = Of(caller, error, scope);
        // A token that has expired was a good one.
        return error?.Code == ErrorCode.InvalidApiKey ? Wrong(context, result) : result;
    }

    private static AuthenticationResult Of(Caller? caller, GatewayError? error, string? scope) =>
        caller is not null ? Permit(caller, scope) : new AuthenticationResult(null, error);

    private AuthenticationResult Wrong(HttpContext context, AuthenticationResult refusal) =>
        wrongKeys?.Count(context.Connection.RemoteIpAddress) ?? refusal;

    private static AuthenticationResult Permit(Caller caller, string? scope) =>
        scope is null || caller.HasScope(scope)
            ? new AuthenticationResult(caller, null)
            : AdminRoles.IsAdminScope(scope) ? new AuthenticationResult(null, AdminRights.Missing(scope)) { Refused = caller }
            : Refusal(ErrorCode.InsufficientScope, $"The API key lacks the scope '{scope}'.") with { Refused = caller };

    private static bool IsAllowed(IReadOnlyList<IPNetwork> networks, IPAddress? address)
    {
        // Without an address (a local socket) nothing shows that the caller is allowed.
        if (address is null) return false;
        if (address.IsIPv4MappedToIPv6) address = address.MapToIPv4();
        // By index: the enumerator of an interface is an allocation per call.
        for (var i = 0; i < networks.Count; i++)
        {
            if (networks[i].Contains(address)) return true;
        }
        return false;
    }

    private static AuthenticationResult Refusal(ErrorCode code, string message) => new(null, new GatewayError(code, message));
}
