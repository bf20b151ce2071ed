using System.Buffers.Text;
using System.Collections.Frozen;
using System.Text.Json;
using Microsoft.IdentityModel.JsonWebTokens;

namespace Fairlead.Access.Tokens;

/// <summary>Reads the claims of a verified token as the configuration says.</summary>
internal static class TokenClaims
{
    private const int MaxSubject = 512;
    private const int MaxName = 200;
    private const int MaxValues = 256;

    // If a caller has several groups, the first of these counts.
    private static readonly AdminRole[] Order = [AdminRole.Owner, AdminRole.Operator, AdminRole.OrganizationAdmin, AdminRole.Auditor];

    /// <returns>Null if the token does not say who calls.</returns>
    public static TokenIdentity? Read(JsonWebToken token, string name, IssuerConfig issuer)
    {
        var claims = issuer.Claims;
        using var document = JsonDocument.Parse(Base64Url.DecodeFromChars(token.EncodedPayload));
        var payload = document.RootElement;
        if (payload.ValueKind != JsonValueKind.Object) return null;
        if (TextOf(payload, claims.Subject) is not { Length: > 0 and <= MaxSubject } subject || subject.Any(char.IsControl)) return null;
        return new TokenIdentity
        {
            KeyId = TokenKeyId.Of(name, subject),
            Name = NameOf(claims.Name is null ? null : TextOf(payload, claims.Name), subject),
            ProjectId = (claims.Project is null ? null : TextOf(payload, claims.Project)) ?? issuer.Project,
            Scopes = Within(issuer.Scopes, claims.Scopes, payload),
            Classes = Within(issuer.Classes, claims.Classes, payload),
            Role = claims.Role is null ? null : RoleOf(ValuesOf(payload, claims.Role), issuer.Roles),
            OrganizationId = claims.Organization is null ? null : TextOf(payload, claims.Organization),
            ExpiresAt = new DateTimeOffset(token.ValidTo, TimeSpan.Zero) + issuer.ClockSkew,
        };
    }

    private static string NameOf(string? name, string subject)
    {
        if (string.IsNullOrWhiteSpace(name) || name.Any(char.IsControl)) name = subject;
        return name.Length <= MaxName ? name : name[..MaxName];
    }

    // A token can only narrow what the configuration allows.
    private static FrozenSet<string> Within(IReadOnlyList<string> allowed, string? claim, JsonElement payload)
    {
        if (claim is null) return allowed.ToFrozenSet(StringComparer.Ordinal);
        var named = ValuesOf(payload, claim);
        return allowed.Where(named.Contains).ToFrozenSet(StringComparer.Ordinal);
    }

    private static AdminRole? RoleOf(List<string> values, IReadOnlyDictionary<string, string> roles)
    {
        var given = values.Select(value => roles.TryGetValue(value, out var role) ? AdminRoles.Find(role) : null).ToArray();
        foreach (var role in Order)
        {
            if (given.Contains(role)) return role;
        }
        return null;
    }

    private static string? TextOf(JsonElement payload, string claim) =>
        Find(payload, claim) is { ValueKind: JsonValueKind.String } value && value.GetString() is { Length: <= MaxSubject } text ? text : null;

    private static List<string> ValuesOf(JsonElement payload, string claim)
    {
        var found = new List<string>();
        switch (Find(payload, claim))
        {
            case { ValueKind: JsonValueKind.String } text:
                found.AddRange(text.GetString()!.Split(' ', StringSplitOptions.RemoveEmptyEntries).Take(MaxValues));
                break;
            case { ValueKind: JsonValueKind.Array } list:
                found.AddRange(list.EnumerateArray().Take(MaxValues).Where(item => item.ValueKind == JsonValueKind.String)
                    .Select(item => item.GetString()!));
                break;
        }
        return found;
    }

    // The name as it is, since names that are addresses have dots; otherwise a dot leads into an object.
    private static JsonElement? Find(JsonElement payload, string claim)
    {
        if (payload.TryGetProperty(claim, out var value)) return value;
        var current = payload;
        foreach (var step in claim.Split('.'))
        {
            if (current.ValueKind != JsonValueKind.Object || !current.TryGetProperty(step, out current)) return null;
        }
        return current;
    }
}
