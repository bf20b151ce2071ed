using Fairlead.Configuration;

namespace Fairlead.Access.Tokens;

/// <summary>An identity provider whose tokens are accepted, and what its tokens allow.</summary>
internal sealed record IssuerConfig
{
    /// <summary>Algorithms with a public key, which the libraries verify. Symmetric ones and <c>none</c> are never accepted.</summary>
    public static readonly IReadOnlyList<string> AllAlgorithms =
        ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"];

    /// <summary>The value of <see cref="Organization"/> for an issuer that speaks for the whole installation.</summary>
    public const string AnyOrganization = "any";

    private const int MaxNameLength = 32;

    /// <summary>Its keys in the configuration file.</summary>
    internal static readonly ConfigObjectType<IssuerConfig> Keys = new(() => new IssuerConfig(), [],
        new("issuer", ConfigTypes.Text, i => i.Issuer, (i, v) => i with { Issuer = (string)v },
            "The `iss` of its tokens, exactly as they have it.") { Required = true },
        new("audiences", ConfigTypes.Texts, i => i.Audiences, (i, v) => i with { Audiences = (IReadOnlyList<string>)v },
            "Values of `aud`; a token needs one of them.") { Required = true },
        new("jwksUri", new ConfigUrl(), i => i.JwksUri, (i, v) => i with { JwksUri = (string)v },
            "Address of its signing keys (JWKS). Default: as its discovery document says."),
        new("authority", new ConfigUrl(), i => i.Authority, (i, v) => i with { Authority = (string)v },
            "Address below which `/.well-known/openid-configuration` is read. Default: `issuer`."),
        new("algorithms", new ConfigListType<string>(new ConfigChoice([.. AllAlgorithms])), i => i.Algorithms,
            (i, v) => i with { Algorithms = (IReadOnlyList<string>)v },
            "Accepted algorithms of signatures."),
        new("clockSkew", new ConfigDuration(TimeSpan.Zero, TimeSpan.FromMinutes(5)), i => i.ClockSkew,
            (i, v) => i with { ClockSkew = (TimeSpan)v },
            "By how much its clock and that of this server may differ."),
        new("maxTokenSize", new ConfigSize(512, 64 * 1024), i => i.MaxTokenSize, (i, v) => i with { MaxTokenSize = (int)(long)v },
            "Largest accepted token."),
        new("issuedAfter", new ConfigDate(), i => i.IssuedAfter, (i, v) => i with { IssuedAfter = (DateTimeOffset)v },
            "Tokens issued earlier, by their `iat`, are refused: set it to now to end all tokens that there are."),
        new("project", ConfigTypes.Text, i => i.Project, (i, v) => i with { Project = (string)v },
            "Id of the project of callers whose token names none."),
        new("organization", ConfigTypes.Text, i => i.Organization, (i, v) => i with { Organization = (string)v },
            "Id of the organization whose projects its tokens may name, or `any`. This or `projects` is required with `claims.project` or "
            + "`claims.organization`."),
        new("projects", ConfigTypes.Texts, i => i.Projects, (i, v) => i with { Projects = (IReadOnlyList<string>)v },
            "Ids of the projects that its tokens may name. Default: all of `organization`."),
        new("refusedSubjects", ConfigTypes.Texts, i => i.RefusedSubjects,
            (i, v) => i with { RefusedSubjects = (IReadOnlyList<string>)v },
            "Subjects whose tokens are refused, as the token has them or as the end of a `key_id` has them."),
        new("scopes", ConfigTypes.Texts, i => i.Scopes, (i, v) => i with { Scopes = (IReadOnlyList<string>)v },
            "Scopes of its callers; with `claims.scopes`, those of them that the token has."),
        new("classes", new ConfigListType<string>(new ConfigChoice([.. CallClasses.All])), i => i.Classes,
            (i, v) => i with { Classes = (IReadOnlyList<string>)v },
            "Classes that its callers may request; with `claims.classes`, those of them that the token has."),
        new("roles", new ConfigMapType<string>(ConfigTypes.Text, "value of the claim"), i => i.Roles,
            (i, v) => i with { Roles = (IReadOnlyDictionary<string, string>)v },
            "Roles in administration by the values of `claims.role`. Default: tokens give no role."),
        new("claims", ClaimNames.Keys, i => i.Claims, (i, v) => i with { Claims = (ClaimNames)v },
            "Which claim says what. A dot leads into an object, as in `realm_access.roles`; a dot of a name is written `\\.`. Names with a "
            + "colon, such as addresses, are taken as they are."));

    public string Issuer { get; init; } = "";

    public IReadOnlyList<string> Audiences { get; init; } = [];

    public string? JwksUri { get; init; }

    public string? Authority { get; init; }

    public IReadOnlyList<string> Algorithms { get; init; } = AllAlgorithms;

    /// <summary>Default one minute: as much as a clock without time synchronisation is off after some weeks.</summary>
    public TimeSpan ClockSkew { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>Characters. Default 16 KiB: half of what all headers of a request may have.</summary>
    public int MaxTokenSize { get; init; } = 16 * 1024;

    public DateTimeOffset? IssuedAfter { get; init; }

    public string? Project { get; init; }

    /// <summary>The organization that its tokens are for, or <see cref="AnyOrganization"/>; null if they cannot choose one.</summary>
    public string? Organization { get; init; }

    /// <summary>The projects that its tokens are for; empty for all of the organization.</summary>
    public IReadOnlyList<string> Projects { get; init; } = [];

    public IReadOnlyList<string> RefusedSubjects { get; init; } = [];

    public IReadOnlyList<string> Scopes { get; init; } = [.. Access.Scopes.Default];

    public IReadOnlyList<string> Classes { get; init; } = [.. CallClasses.All];

    public IReadOnlyDictionary<string, string> Roles { get; init; } = new Dictionary<string, string>();

    public ClaimNames Claims { get; init; } = new();

    /// <summary>Whether its tokens may be for this project.</summary>
    public bool Allows(KnownProject project) =>
        (Projects.Count == 0 || Projects.Contains(project.Id)) && (NamesNoOrganization || project.OrganizationId == Organization);

    /// <summary>Whether its tokens may give the role of an administrator of this organization.</summary>
    /// <param name="organizationId">The organization.</param>
    /// <param name="snapshot">Knows the organizations of projects.</param>
    public bool Allows(string organizationId, CallerSnapshot snapshot) =>
        !NamesNoOrganization ? organizationId == Organization
        : Projects.Count == 0 || Projects.Any(id => snapshot.FindProject(id)?.OrganizationId == organizationId);

    private bool NamesNoOrganization => Organization is null or AnyOrganization;

    /// <summary>Why the name cannot be used. It is a part of the ids of callers.</summary>
    public static string? NameError(string name, IssuerConfig issuer) =>
        name.Length <= MaxNameLength && name.All(letter => char.IsAsciiLetterLower(letter) || char.IsAsciiDigit(letter) || letter == '-')
            ? null : $"The name of an issuer has 1 to {MaxNameLength} small letters, digits and hyphens.";
}

/// <summary>Names of claims.</summary>
internal sealed record ClaimNames
{
    internal static readonly ConfigObjectType<ClaimNames> Keys = new(() => new ClaimNames(), [],
        new("subject", ConfigTypes.Text, c => c.Subject, (c, v) => c with { Subject = (string)v },
            "Who calls. It never changes and is never given to another person."),
        new("name", ConfigTypes.Text, c => c.Name, (c, v) => c with { Name = (string)v }, "A name for people. Default: the subject."),
        new("project", ConfigTypes.Text, c => c.Project, (c, v) => c with { Project = (string)v }, "Id of the caller's project."),
        new("scopes", ConfigTypes.Text, c => c.Scopes, (c, v) => c with { Scopes = (string)v },
            "Scopes, as a list or separated by spaces. Values that are no scopes are ignored."),
        new("classes", ConfigTypes.Text, c => c.Classes, (c, v) => c with { Classes = (string)v },
            "Classes of calls, as a list or separated by spaces."),
        new("role", ConfigTypes.Text, c => c.Role, (c, v) => c with { Role = (string)v }, "Values that `roles` maps: one text, or a list."),
        new("organization", ConfigTypes.Text, c => c.Organization, (c, v) => c with { Organization = (string)v },
            "Id of the organization of an `organization_admin`. Default: that of the project."));

    public string Subject { get; init; } = "sub";

    public string? Name { get; init; }

    public string? Project { get; init; }

    public string? Scopes { get; init; }

    public string? Classes { get; init; }

    public string? Role { get; init; }

    public string? Organization { get; init; }
}
