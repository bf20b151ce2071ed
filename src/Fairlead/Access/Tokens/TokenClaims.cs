using System.Buffers.Text;
using System.Collections.Frozen;
using System.Text.Json;
using Fairlead.Errors;
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

    /// <summary>What the token says, or why it cannot be used.</summary>
    public static (TokenIdentity? Identity, GatewayError? Error) Read(JsonWebToken token, string name, IssuerConfig issuer)
    {
        try
        {
            using var document = JsonDocument.Parse(Base64Url.DecodeFromChars(token.EncodedPayload));
            return document.RootElement.ValueKind == JsonValueKind.Object
                ? Read(document.RootElement, token.ValidTo, name, issuer) : (null, Unreadable);
        }
        // A text with half of a surrogate pair is found when it is read.
        catch (Exception exception) when (exception is JsonException or InvalidOperationException or FormatException or ArgumentException)
        {
            return (null, Unreadable);
        }
    }

    private static GatewayError Unreadable => new(ErrorCode.InvalidApiKey, "The claims of the token cannot be read.");

    private static (TokenIdentity? Identity, GatewayError? Error) Read(
        JsonElement payload, DateTime validTo, string name, IssuerConfig issuer)
    {
        var claims = issuer.Claims;
        if (Find(payload, claims.Subject) is not { ValueKind: JsonValueKind.String } who
            || who.GetString() is not { Length: > 0 and <= MaxSubject } subject || subject.Any(char.IsControl))
        {
            return (null, new GatewayError(ErrorCode.InvalidApiKey,
                "The token does not say who calls: the claim of its subject is missing."));
        }
        if (!TryText(payload, claims.Project, out var project)) return (null, NotOneText("project"));
        if (!TryText(payload, claims.Organization, out var organization)) return (null, NotOneText("organization"));
        var keyId = TokenKeyId.Of(name, subject);
        if (TokenKeyId.IsOneOf(issuer.RefusedSubjects, name, keyId))
            return (null, new GatewayError(ErrorCode.KeyRevoked, "Tokens of this subject are refused on this server."));
        return (new TokenIdentity
        {
            KeyId = keyId,
            // A name is only shown, so a claim that is no name is as good as none.
            Name = NameOf(TryText(payload, claims.Name, out var shown) ? shown : null, subject),
            ProjectId = project ?? issuer.Project,
            Scopes = Within(issuer.Scopes, claims.Scopes, payload),
            Classes = Within(issuer.Classes, claims.Classes, payload),
            Role = claims.Role is null ? null : RoleOf(ValuesOf(payload, claims.Role, splits: false), issuer.Roles),
            OrganizationId = organization,
            ExpiresAt = EndOf(validTo, issuer.ClockSkew),
        }, null);
    }

    // A token may have the last day that there is.
    private static DateTimeOffset EndOf(DateTime validTo, TimeSpan skew) => DateTime.MaxValue - validTo < skew
        ? DateTimeOffset.MaxValue : new DateTimeOffset(DateTime.SpecifyKind(validTo, DateTimeKind.Utc)) + skew;

    private static GatewayError NotOneText(string what) =>
        new(ErrorCode.InsufficientScope, $"The claim of the token that names the {what} is not one text.")
        {
            Remedy = $"Have the claim contain one id, or leave it out of the token where the {what} of the issuer is meant.",
        };

    private static string NameOf(string? name, string subject)
    {
        if (string.IsNullOrWhiteSpace(name) || name.Any(char.IsControl)) name = subject;
        return name.Length <= MaxName ? name : name[..MaxName];
    }

    // A token can only narrow what the configuration allows.
    private static FrozenSet<string> Within(IReadOnlyList<string> allowed, string? claim, JsonElement payload)
    {
        if (claim is null) return allowed.ToFrozenSet(StringComparer.Ordinal);
        var named = ValuesOf(payload, claim, splits: true);
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

    /// <summary>
    /// The text of a claim, or of a list with one text. Null if the claim is absent, or null.
    /// </summary>
    /// <returns>False if the claim is something else: the default must not replace what the issuer meant.</returns>
    private static bool TryText(JsonElement payload, string? claim, out string? text)
    {
        text = null;
        if (claim is null || Find(payload, claim) is not { } value) return true;
        if (value.ValueKind == JsonValueKind.Array && value.GetArrayLength() == 1) value = value[0];
        else if (value.ValueKind == JsonValueKind.Null) return true;
        if (value.ValueKind != JsonValueKind.String || value.GetString() is not { Length: > 0 and <= MaxSubject } found) return false;
        text = found;
        return true;
    }

    /// <param name="payload">The claims.</param>
    /// <param name="claim">The name of the claim.</param>
    /// <param name="splits">Whether a text is a list separated by spaces (RFC 8693, 4.2), which names of groups are not.</param>
    private static List<string> ValuesOf(JsonElement payload, string claim, bool splits)
    {
        var found = new List<string>();
        switch (Find(payload, claim))
        {
            case { ValueKind: JsonValueKind.String } text when splits:
                found.AddRange(text.GetString()!.Split(' ', StringSplitOptions.RemoveEmptyEntries).Take(MaxValues));
                break;
            case { ValueKind: JsonValueKind.String } text:
                found.Add(text.GetString()!);
                break;
            case { ValueKind: JsonValueKind.Array } list:
                found.AddRange(list.EnumerateArray().Take(MaxValues).Where(item => item.ValueKind == JsonValueKind.String)
                    .Select(item => item.GetString()!));
                break;
        }
        return found;
    }

    // A name with a colon is an address, whose dots lead nowhere. Each name has one meaning only: a claim that is called as another's path
    // must not take its place.
    private static JsonElement? Find(JsonElement payload, string claim)
    {
        if (claim.Contains(':', StringComparison.Ordinal)) return payload.TryGetProperty(claim, out var value) ? value : null;
        var current = payload;
        foreach (var step in claim.Replace("\\.", "\0", StringComparison.Ordinal).Split('.'))
        {
            if (current.ValueKind != JsonValueKind.Object || !current.TryGetProperty(step.Replace('\0', '.'), out current)) return null;
        }
        return current;
    }
}
