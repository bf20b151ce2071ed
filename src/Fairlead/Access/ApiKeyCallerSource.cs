using System.Net;
using Fairlead.Errors;
using Microsoft.AspNetCore.Http;

namespace Fairlead.Access;

/// <summary>
/// Keys from the store and from the environment. The order of the checks is a guarantee: only a caller with the full secret
/// learns that a key is revoked, expired or restricted to other addresses.
/// </summary>
internal sealed class ApiKeyCallerSource(CallerSnapshots snapshots, AdminKey adminKey, TimeProvider time, ClientKey? clientKey = null)
    : ICallerSource
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

    public AuthenticationResult Authenticate(HttpContext context, string? scope)
    {
        var presented = PresentedKey.Of(context.Request.Headers);
        if (presented.IsRepeated) return Repeated;
        if (presented.Text.IsEmpty) return Missing;

        var snapshot = snapshots.Current;
        var wellFormed = ApiKeyText.TryParse(presented.Text, out var publicId);
        var secret = wellFormed ? snapshot?.Find(publicId) : null;
        if (secret is null || !secret.Matches(presented.Text))
        {
            if (adminKey.Matches(presented.Text)) return Permit(adminKey.Caller, scope);
            if (clientKey?.Matches(presented.Text) == true) return Permit(clientKey.Caller, scope);
            if (!wellFormed) return Malformed;
            if (snapshot is null) return NotLoaded;
            // Another node may have created the key since. A key whose secret is wrong stays wrong.
            return secret is null && snapshots.IsStale ? NotReadable : Unknown;
        }

        var caller = secret.Caller;
        if (secret.RevokedAt is not null) return Revoked with { Refused = caller };
        if (caller.ExpiresAt is not null || caller.SecretRetiresAt is not null)
        {
            var now = time.GetUtcNow();
            if (caller.ExpiresAt <= now) return Expired with { Refused = caller };
            if (caller.SecretRetiresAt <= now) return Retired with { Refused = caller };
        }
        if (caller.Addresses.Count > 0 && !IsAllowed(caller.Addresses, context.Connection.RemoteIpAddress))
            return WrongAddress with { Refused = caller };
        return Permit(caller, scope);
    }

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
