using System.Globalization;
using System.Net;
using System.Text.RegularExpressions;
using Fairlead.Http;
using Fairlead.Pipeline;
using Fairlead.Security;
using Fairlead.Streaming;

namespace Fairlead.Access;

/// <summary>
/// The fields of a key that a body may set. For all of them except <c>name</c>, null is the default, in a new key and in a change. A change
/// merges <c>limits</c> and replaces the others.
/// </summary>
internal sealed partial class KeyFields
{
    private const string RoleName = "role";
    private const string OrganizationName = "organization_id";

    private static readonly string[] Names =
    [
        "name", "project_id", "scopes", RoleName, OrganizationName, "models", "classes", "default_class", "addresses", "expires_at", "api_version", "extensions",
        "batch_tokens", "batch_delay_ms", "rescue", "cache", "audit_content", LimitsField.Name,
    ];

    /// <summary>Fields of the body that creates a key.</summary>
    public static readonly FieldSet New = new(Names);

    /// <summary>Fields of the body that changes a key.</summary>
    public static readonly FieldSet Change = new([.. Names.Where(field => field != "project_id")], new Dictionary<string, string>
    {
        ["project_id"] = "A key stays with its project; create a new key in the other one.",
    });

    private const int MaxModels = 500;
    private const int MaxAddresses = 100;

    private KeyFields()
    {
    }

    public string Name { get; private set; } = "";

    public string[] Scopes { get; private set; } = [.. Access.Scopes.Default];

    /// <summary>A name of <see cref="AdminRoles"/>; null for none.</summary>
    public string? Role { get; private set; }

    /// <summary>The organization of the role; null for that of the key's project, if the role has one.</summary>
    public string? RoleOrganizationId { get; private set; }

    /// <summary>The rights that the role stands for.</summary>
    public AdminGrant? Admin => AdminGrant.Of(Role, RoleOrganizationId);

    public string[]? Models { get; private set; }

    public string[] Classes { get; private set; } = [.. CallClasses.All];

    public string DefaultClass { get; private set; } = CallClasses.Default;

    public string[] Addresses { get; private set; } = [];

    public DateTimeOffset? ExpiresAt { get; private set; }

    public string ApiVersion { get; private set; } = ApiVersions.Current;

    public bool Extensions { get; private set; } = true;

    public int? BatchTokens { get; private set; }

    public int? BatchDelayMs { get; private set; }

    public string? Rescue { get; private set; }

    public string? Cache { get; private set; }

    public string? AuditContent { get; private set; }

    public string? Limits { get; private set; }

    public static KeyFields ReadNew(BodyFields body, DateTimeOffset now)
    {
        var key = new KeyFields();
        if (!body.HasValue("name")) body.Missing("name");
        key.Read(body, now, isNew: true);
        return key;
    }

    public static KeyFields ReadChange(BodyFields body, ApiKeyRow row, DateTimeOffset now)
    {
        var key = new KeyFields
        {
            Name = row.Name, Scopes = row.Scopes, Role = row.Role, RoleOrganizationId = row.RoleOrganizationId, Models = row.Models, Classes = row.Classes,
            DefaultClass = row.DefaultClass, Addresses = row.Addresses, ExpiresAt = row.ExpiresAt, ApiVersion = row.ApiVersion, Extensions = row.Extensions,
            BatchTokens = row.BatchTokens, BatchDelayMs = row.BatchDelayMs, Rescue = row.Rescue, Cache = row.Cache,
            AuditContent = row.AuditContent, Limits = row.Limits,
        };
        if (body.Has("name") && !body.HasValue("name")) body.Invalid("name", "Must not be null.");
        key.Read(body, now, isNew: false);
        return key;
    }

    /// <summary>Whether <see cref="ApplyTo"/> would change anything.</summary>
    public bool DiffersFrom(ApiKeyRow row) =>
        Name != row.Name || !Scopes.SequenceEqual(row.Scopes) || Role != row.Role || RoleOrganizationId != row.RoleOrganizationId
        || !SameModels(Models, row.Models) || !Classes.SequenceEqual(row.Classes)
        || DefaultClass != row.DefaultClass || !Addresses.SequenceEqual(row.Addresses) || ExpiresAt != row.ExpiresAt
        || ApiVersion != row.ApiVersion || Extensions != row.Extensions || BatchTokens != row.BatchTokens
        || BatchDelayMs != row.BatchDelayMs || Rescue != row.Rescue || Cache != row.Cache || AuditContent != row.AuditContent
        || Limits != row.Limits;

    /// <summary>Whether the key would have rights of administration, or have them longer or at more addresses, that it does not have now.</summary>
    public bool Loosens(ApiKeyRow row) =>
        Admin is { } admin && (row.Admin?.Includes(admin) != true
            || (row.ExpiresAt is { } end && !(ExpiresAt <= end))
            || !AdminRights.IsWithin(Addresses, Array.ConvertAll(row.Addresses, IPNetwork.Parse)));

    /// <summary>A new key without secrets.</summary>
    public ApiKeyRow ToRow(string id, string projectId, DateTimeOffset now)
    {
        var row = new ApiKeyRow
        {
            Id = id,
            ProjectId = projectId,
            Name = Name,
            Scopes = Scopes,
            Classes = Classes,
            DefaultClass = DefaultClass,
            Addresses = Addresses,
            ApiVersion = ApiVersion,
            Extensions = Extensions,
            CreatedAt = now,
            UpdatedAt = now,
        };
        ApplyTo(row);
        return row;
    }

    public void ApplyTo(ApiKeyRow row)
    {
        row.Name = Name;
        row.Scopes = Scopes;
        row.Role = Role;
        row.RoleOrganizationId = RoleOrganizationId;
        row.Models = Models;
        row.Classes = Classes;
        row.DefaultClass = DefaultClass;
        row.Addresses = Addresses;
        row.ExpiresAt = ExpiresAt;
        row.ApiVersion = ApiVersion;
        row.Extensions = Extensions;
        row.BatchTokens = BatchTokens;
        row.BatchDelayMs = BatchDelayMs;
        row.Rescue = Rescue;
        row.Cache = Cache;
        row.AuditContent = AuditContent;
        row.Limits = Limits;
    }

    // Null means all models; an empty list does not exist.
    private static bool SameModels(string[]? left, string[]? right) =>
        left is null ? right is null : right is not null && left.SequenceEqual(right);

    private void Read(BodyFields body, DateTimeOffset now, bool isNew)
    {
        Name = body.Text("name", FieldLengths.Name) ?? Name;
        ReadScopesAndRole(body, isNew);
        if (body.Has("models")) Models = NotEmpty(body, "models", body.List("models", MaxModels, FieldLengths.Name));
        // An empty list has only one meaning here: no restriction, as in the representation of the key.
        if (body.Has("addresses")) Addresses = body.List("addresses", MaxAddresses, 64, NetworkAddress.Read) ?? [];
        ReadClasses(body, isNew);
        if (body.Has("expires_at")) ExpiresAt = ReadExpiry(body, now);
        if (body.Has("api_version")) ApiVersion = body.OneOf("api_version", ApiVersions.Current) ?? ApiVersions.Current;
        if (body.Has("extensions")) Extensions = body.OneOf("extensions", "all", "none") != "none";
        if (body.Has("batch_tokens")) BatchTokens = body.Integer("batch_tokens", 1, BatchSettings.MaxTokens);
        if (body.Has("batch_delay_ms")) BatchDelayMs = body.Integer("batch_delay_ms", 0, BatchSettings.MaxDelayMs);
        if (body.Has("rescue")) Rescue = body.OneOf("rescue", RescueModes.Names);
        if (body.Has("cache")) Cache = body.OneOf("cache", CacheModes.All);
        if (body.Has("audit_content")) AuditContent = body.OneOf("audit_content", AuditContents.Names);
        Limits = LimitsField.Read(body)(Limits);
    }

    /// <summary>
    /// A role can also be given by a scope, as before there were roles. A change that takes away such a scope takes away the role, so that
    /// an old client cannot leave an owner where it meant to leave none.
    /// </summary>
    private void ReadScopesAndRole(BodyFields body, bool isNew)
    {
        var hadScope = AdminRoles.OfScopes(Scopes) is not null;
        var names = body.List("scopes", 32, 64, OneOf(Access.Scopes.All));
        // A key for administration need not call models.
        if (body.Has("scopes")) Scopes = names ?? [.. Access.Scopes.Default];
        else if (isNew && body.HasValue(RoleName)) Scopes = [];

        var meant = AdminRoles.OfScopes(Scopes);
        if (body.Has(RoleName))
        {
            Role = body.OneOf(RoleName, AdminRoles.Names);
            if (!body.Has("scopes")) Scopes = [.. Scopes.Where(scope => !AdminRoles.IsAdminScope(scope))];
            else if (Scopes.Any(AdminRoles.IsAdminScope) && meant != AdminRoles.Find(Role))
            {
                body.Invalid(RoleName,
                    $"The scopes stand for the role {AdminRoles.NameOf(meant!.Value)}; leave out those that begin with admin:.");
            }
        }
        else if (body.Has("scopes"))
        {
            if (meant is { } role) Role = AdminRoles.NameOf(role);
            else if (hadScope) Role = null;
        }
        // With another role than owner, the star stands for the calls only. Stored as their list, so that no later reader takes it for a role.
        if ((body.Has("scopes") || body.Has(RoleName)) && Scopes.Contains("*") && AdminRoles.Find(Role) != AdminRole.Owner)
            Scopes = [.. Access.Scopes.OfCalls.Union(Scopes.Where(scope => scope != "*"))];
        if (Scopes.Length == 0 && Role is null && !body.HasValue(RoleName) && (body.Has(RoleName) || body.Has("scopes")))
        {
            body.Invalid(body.Has("scopes") ? "scopes" : RoleName,
                "A key without a role needs scopes: name some, or send null for the default scopes.");
        }

        if (AdminRoles.Find(Role) == AdminRole.OrganizationAdmin)
        {
            if (body.Has(OrganizationName)) RoleOrganizationId = body.Text(OrganizationName, FieldLengths.Id);
            return;
        }
        if (body.HasValue(OrganizationName)) body.Invalid(OrganizationName, "Only the role organization_admin has an organization.");
        RoleOrganizationId = null;
    }

    /// <summary>Sets the organization of the role, which the body did not name.</summary>
    public void AdministerOrganization(string organizationId) => RoleOrganizationId = organizationId;

    private void ReadClasses(BodyFields body, bool isNew)
    {
        if (body.Has("classes"))
        {
            var classes = NotEmpty(body, "classes", body.List("classes", 16, 32, OneOf(CallClasses.All)));
            // Whether the default class is allowed is unknown while the classes are invalid.
            if (classes is null && body.HasValue("classes")) return;
            Classes = classes ?? [.. CallClasses.All];
        }
        if (body.HasValue("default_class"))
        {
            if (body.OneOf("default_class", Classes) is { } choice) DefaultClass = choice;
            return;
        }
        // A new key, and null in a change, get the usual class if it is allowed. A change must not replace the chosen class silently.
        if (isNew || body.Has("default_class"))
            DefaultClass = Classes.Contains(CallClasses.Default) ? CallClasses.Default : Classes[0];
        else if (!Classes.Contains(DefaultClass))
        {
            body.Invalid("default_class",
                $"The key's default class '{DefaultClass}' is not among the new classes; name one of {string.Join(", ", Classes)}.");
        }
    }

    private static DateTimeOffset? ReadExpiry(BodyFields body, DateTimeOffset now)
    {
        if (body.Text("expires_at", 64) is not { } text) return null;
        if (!Rfc3339().IsMatch(text) || !DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.None, out var time))
        {
            body.Invalid("expires_at", "Must be a time of RFC 3339 with its offset, such as 2027-01-31T00:00:00Z.");
            return null;
        }
        // Stored in milliseconds; the response shows the stored value.
        time = DateTimeOffset.FromUnixTimeMilliseconds(time.ToUnixTimeMilliseconds());
        if (time > now) return time;
        body.Invalid("expires_at", "Must be in the future; to end a key now, revoke it.");
        return null;
    }

    // An empty list may be read as "nothing" or as "everything"; a key that may do nothing is useless.
    private static string[]? NotEmpty(BodyFields body, string name, string[]? items)
    {
        if (items is not { Length: 0 }) return items;
        body.Invalid(name, "Must not be empty; leave it out or send null for the default.");
        return null;
    }

    private static Func<string, (string? Value, string? Error)> OneOf(IReadOnlyList<string> choices) =>
        text => choices.Contains(text) ? (text, null) : (null, $"Must be one of {string.Join(", ", choices)}.");

    [GeneratedRegex(
        @"\A\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})\z",
        RegexOptions.CultureInvariant, matchTimeoutMilliseconds: 100)]
    private static partial Regex Rfc3339();
}
