using System.Collections.Concurrent;
using System.Collections.Frozen;
using Fairlead.Configuration;
using Fairlead.Errors;
using Microsoft.Extensions.Logging;

namespace Fairlead.Access.Tokens;

/// <summary>
/// The callers of signed tokens. A token is verified once an hour: until it expires, or the settings or keys of its issuer change, it is
/// found by its hash. What its project allows is taken from the newest snapshot, so a change there has effect on tokens too. Thread-safe.
/// </summary>
internal sealed class TokenCallers(
    IConfigurationSource configuration, CallerSnapshots snapshots, TokenVerifier verifier, IssuerKeyReader reader, TimeProvider time,
    ILogger<TokenCallers> logger)
{
    internal const int MaxKept = 10_000;

    /// <summary>After this time a token is verified again, however long it is valid.</summary>
    internal static readonly TimeSpan MaxKeptTime = TimeSpan.FromHours(1);

    private static readonly FrozenSet<string> NoScopes = FrozenSet<string>.Empty;

    private readonly ConcurrentDictionary<TokenHash, Verified> _verified = new();
    private readonly Lock _lock = new();
    private volatile Issuers _issuers = new(null, FrozenDictionary<string, IssuerKeys>.Empty);

    /// <summary>Whether any issuer is configured. Without one, tokens are wrong keys.</summary>
    public bool IsConfigured => configuration.Current.Authentication.Oidc.Count > 0;

    /// <summary>The caller of a token that was verified before; null if it has to be verified.</summary>
    public (Caller? Caller, GatewayError? Error)? Find(ReadOnlySpan<char> token)
    {
        if (_verified.IsEmpty || !_verified.TryGetValue(TokenHash.Of(token), out var known)) return null;
        return ReferenceEquals(known.Issuers, Current()) && time.GetUtcNow() < known.Until && known.IsByCurrentKeys ? Of(known) : null;
    }

    /// <summary>Verifies a token.</summary>
    public async ValueTask<(Caller? Caller, GatewayError? Error)> VerifyAsync(string text, CancellationToken cancellationToken)
    {
        var issuers = Current();
        var (token, error) = await verifier.VerifyAsync(text, issuers.ByIssuer, cancellationToken);
        if (token is null) return (null, error);
        var (identity, unusable) = TokenClaims.Read(token.Token, token.Keys.Name, token.Keys.Issuer);
        if (identity is null) return (null, unusable);
        var now = time.GetUtcNow();
        var until = identity.ExpiresAt - now > MaxKeptTime ? now + MaxKeptTime : identity.ExpiresAt;
        var verified = new Verified(identity, issuers, token.Keys, token.Set, until);
        if (now < until) Keep(TokenHash.Of(text), verified);
        return Of(verified);
    }

    /// <summary>
    /// The caller of work that was accepted earlier, also before a restart. Its permissions were checked then. Null if the key is not one of
    /// a token, if its issuer or its subject is no longer accepted, or if its project was deleted or is no longer for the issuer.
    /// </summary>
    public Caller? Find(string keyId, string projectId)
    {
        if (!TokenKeyId.Is(keyId)) return null;
        var rest = keyId[TokenKeyId.Prefix.Length..];
        var end = rest.IndexOf('_', StringComparison.Ordinal);
        if (end < 0 || !configuration.Current.Authentication.Oidc.TryGetValue(rest[..end], out var issuer)) return null;
        if (TokenKeyId.IsOneOf(issuer.RefusedSubjects, rest[..end], keyId)) return null;
        if (snapshots.Current?.FindProject(projectId) is not { } project || !issuer.Allows(project)) return null;
        return project.ToCaller(
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
                if (known.Until <= now) _verified.TryRemove(old, out _);
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
        var (caller, error) = Create(verified.Identity, verified.Keys.Issuer, snapshot);
        verified.Made = new Made(snapshot.Identity, caller, error);
        return (caller, error);
    }

    private static (Caller? Caller, GatewayError? Error) Create(
        TokenIdentity identity, IssuerConfig issuer, CallerSnapshot snapshot)
    {
        var project = identity.ProjectId is null ? null : snapshot.FindProject(identity.ProjectId);
        // As one that does not exist: nobody learns which projects others have.
        if (project is not null && !issuer.Allows(project)) project = null;
        var admin = identity.Role switch
        {
            null => null,
            AdminRole.OrganizationAdmin when (identity.OrganizationId ?? project?.OrganizationId) is { } organization =>
                new AdminGrant(AdminRole.OrganizationAdmin, organization),
            AdminRole.OrganizationAdmin => null,
            { } role => new AdminGrant(role),
        };
        if (admin?.OrganizationId is { } administered && !issuer.Allows(administered, snapshot))
        {
            return (null, new GatewayError(ErrorCode.InsufficientScope,
                "The token gives the role organization_admin of an organization that its issuer does not speak for.")
            {
                Remedy = "Have the claim of the organization contain the one that the server's configuration names for the issuer.",
            });
        }
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
                    one.Key, one.Value, reader, time, logger, known.ByIssuer.GetValueOrDefault(one.Value.Issuer)), StringComparer.Ordinal));
        }
    }

    private sealed record Issuers(IReadOnlyDictionary<string, IssuerConfig>? Settings, FrozenDictionary<string, IssuerKeys> ByIssuer);

    private sealed record Made(object Snapshot, Caller? Caller, GatewayError? Error);

    private sealed class Verified(TokenIdentity identity, Issuers issuers, IssuerKeys keys, IssuerKeySet set, DateTimeOffset until)
    {
        private volatile Made? _made;

        public TokenIdentity Identity => identity;

        public Issuers Issuers => issuers;

        public IssuerKeys Keys => keys;

        /// <summary>When it has to be verified again.</summary>
        public DateTimeOffset Until => until;

        /// <summary>Whether the issuer still has the keys that it was verified with.</summary>
        public bool IsByCurrentKeys => ReferenceEquals(set, keys.Current);

        /// <summary>The caller by the snapshot that was current last.</summary>
        public Made? Made
        {
            get => _made;
            set => _made = value;
        }
    }
}
