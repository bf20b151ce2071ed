using System.Collections.Concurrent;
using System.Collections.Frozen;
using Fairlead.Configuration;
using Fairlead.Errors;
using Microsoft.Extensions.Logging;

namespace Fairlead.Access.Tokens;

/// <summary>
/// The callers of signed tokens. A token is verified once: until it expires, or its issuer's settings change, it is found by its hash.
/// What its project allows is taken from the newest snapshot, so a change there has effect on tokens too. Thread-safe.
/// </summary>
internal sealed class TokenCallers(
    IConfigurationSource configuration, CallerSnapshots snapshots, TokenVerifier verifier, IssuerKeyReader reader, TimeProvider time,
    ILogger<TokenCallers> logger)
{
    internal const int MaxKept = 10_000;

    private static readonly FrozenSet<string> NoScopes = FrozenSet<string>.Empty;

    private readonly ConcurrentDictionary<TokenHash, Verified> _verified = new();
    private readonly Lock _lock = new();
    private volatile Issuers _issuers = new(null, FrozenDictionary<string, IssuerKeys>.Empty, FrozenDictionary<string, string>.Empty);

    /// <summary>Whether any issuer is configured. Without one, tokens are wrong keys.</summary>
    public bool IsConfigured => configuration.Current.Authentication.Oidc.Count > 0;

    /// <summary>The caller of a token that was verified before; null if it has to be verified.</summary>
    public (Caller? Caller, GatewayError? Error)? Find(ReadOnlySpan<char> token)
    {
        if (_verified.IsEmpty || !_verified.TryGetValue(TokenHash.Of(token), out var known)) return null;
        return ReferenceEquals(known.Issuers, Current()) && time.GetUtcNow() < known.Identity.ExpiresAt ? Of(known) : null;
    }

    /// <summary>Verifies a token.</summary>
    public async ValueTask<(Caller? Caller, GatewayError? Error)> VerifyAsync(string text, CancellationToken cancellationToken)
    {
        var issuers = Current();
        var (token, error) = await verifier.VerifyAsync(text, issuers.ByIssuer, cancellationToken);
        if (token is null) return (null, error);
        if (TokenClaims.Read(token, issuers.Names[token.Issuer], issuers.ByIssuer[token.Issuer].Issuer) is not { } identity)
        {
            return (null, new GatewayError(ErrorCode.InvalidApiKey, "The token does not say who calls: the claim of its subject is missing."));
        }
        var verified = new Verified(identity, issuers);
        if (time.GetUtcNow() < identity.ExpiresAt) Keep(TokenHash.Of(text), verified);
        return Of(verified);
    }

    /// <summary>
    /// The caller of work that was accepted earlier, also before a restart. Its permissions were checked then. Null if the key is not one of
    /// a token, if its issuer is no longer accepted, or if its project was deleted.
    /// </summary>
    public Caller? Find(string keyId, string projectId)
    {
        if (!keyId.StartsWith(TokenKeyId.Prefix, StringComparison.Ordinal)) return null;
        var rest = keyId[TokenKeyId.Prefix.Length..];
        var end = rest.IndexOf('_', StringComparison.Ordinal);
        if (end < 0 || !configuration.Current.Authentication.Oidc.TryGetValue(rest[..end], out var issuer)) return null;
        return snapshots.Current?.FindProject(projectId)?.ToCaller(
            keyId, rest[(end + 1)..], issuer.Scopes.ToFrozenSet(StringComparer.Ordinal), issuer.Classes.ToFrozenSet(StringComparer.Ordinal),
            CallClasses.DefaultOf(issuer.Classes), admin: null);
    }

    private void Keep(TokenHash hash, Verified verified)
    {
        if (_verified.Count >= MaxKept)
        {
            var now = time.GetUtcNow();
            foreach (var (old, known) in _verified)
            {
                if (known.Identity.ExpiresAt <= now) _verified.TryRemove(old, out _);
            }
            // A token that is missing is verified again, so clearing the list costs little.
            if (_verified.Count >= MaxKept) _verified.Clear();
        }
        _verified[hash] = verified;
    }

    private (Caller? Caller, GatewayError? Error) Of(Verified verified)
    {
        if (snapshots.Current is not { } snapshot)
        {
            return (null, new GatewayError(ErrorCode.StoreUnavailable, "The projects have not been loaded yet.")
            {
                RetryAfter = TimeSpan.FromSeconds(1),
            });
        }
        if (verified.Made is { } made && ReferenceEquals(made.Snapshot, snapshot.Identity)) return (made.Caller, made.Error);
        var (caller, error) = Create(verified.Identity, snapshot);
        verified.Made = new Made(snapshot.Identity, caller, error);
        return (caller, error);
    }

    private static (Caller? Caller, GatewayError? Error) Create(TokenIdentity identity, CallerSnapshot snapshot)
    {
        var project = identity.ProjectId is null ? null : snapshot.FindProject(identity.ProjectId);
        var admin = identity.Role switch
        {
            null => null,
            AdminRole.OrganizationAdmin when (identity.OrganizationId ?? project?.OrganizationId) is { } organization =>
                new AdminGrant(AdminRole.OrganizationAdmin, organization),
            AdminRole.OrganizationAdmin => null,
            { } role => new AdminGrant(role),
        };
        if (project is not null)
        {
            return (project.ToCaller(identity.KeyId, identity.Name, identity.Scopes, identity.Classes,
                CallClasses.DefaultOf(identity.Classes), admin), null);
        }
        // An administrator need not belong to a project, but cannot call models then.
        if (admin is not null && identity.ProjectId is null)
        {
            return (new Caller
            {
                OrganizationId = OperatorCaller.OrganizationId, OrganizationName = "operator", ProjectId = EnvironmentKey.ProjectId,
                ProjectName = "operator", KeyId = identity.KeyId, KeyName = identity.Name, Scopes = NoScopes, Admin = admin,
            }, null);
        }
        return (null, new GatewayError(ErrorCode.InsufficientScope, identity.ProjectId is null
            ? "The token names no project, and its issuer has none by default." : "The token names a project that does not exist here.")
        {
            Remedy = "Have the claim of the project contain the id of a project of this server, or set a project for the issuer.",
        });
    }

    // Keys that were read survive a change of other settings.
    private Issuers Current()
    {
        var settings = configuration.Current.Authentication.Oidc;
        var known = _issuers;
        if (ReferenceEquals(known.Settings, settings)) return known;
        lock (_lock)
        {
            known = _issuers;
            if (ReferenceEquals(known.Settings, settings)) return known;
            return _issuers = new Issuers(
                settings,
                settings.ToFrozenDictionary(one => one.Value.Issuer, one => new IssuerKeys(
                    one.Key, one.Value, reader, time, logger, known.ByIssuer.GetValueOrDefault(one.Value.Issuer)), StringComparer.Ordinal),
                settings.ToFrozenDictionary(one => one.Value.Issuer, one => one.Key, StringComparer.Ordinal));
        }
    }

    private sealed record Issuers(
        IReadOnlyDictionary<string, IssuerConfig>? Settings, FrozenDictionary<string, IssuerKeys> ByIssuer,
        FrozenDictionary<string, string> Names);

    private sealed record Made(object Snapshot, Caller? Caller, GatewayError? Error);

    private sealed class Verified(TokenIdentity identity, Issuers issuers)
    {
        private volatile Made? _made;

        public TokenIdentity Identity => identity;

        public Issuers Issuers => issuers;

        /// <summary>The caller by the snapshot that was current last.</summary>
        public Made? Made
        {
            get => _made;
            set => _made = value;
        }
    }
}
