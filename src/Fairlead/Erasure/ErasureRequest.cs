using System.Text.Json;
using Fairlead.Access;
using Fairlead.Access.Tokens;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Http;
using Fairlead.Storage;

namespace Fairlead.Erasure;

/// <summary>A wanted erasure, from the admin API or a command. Both have the same rules. Immutable.</summary>
internal sealed class ErasureRequest
{
    public const string GenerationId = "generation_id";

    public const string KeyId = "key_id";

    public const string ProjectId = "project_id";

    public const string OrganizationId = "organization_id";

    public const string EndUser = "end_user";

    /// <summary>Names of end users are as long as their clients like; this is more than the dialects with a limit accept.</summary>
    private const int MaxEndUser = 4096;

    private const int MaxReason = 500;

    private static readonly FieldSet Fields = new([GenerationId, KeyId, ProjectId, OrganizationId, EndUser, "what", "reason"]);

    private readonly BodyFields _fields;
    private readonly string? _generation;
    private readonly string? _key;
    private readonly string? _project;
    private readonly string? _organization;
    private readonly string? _user;
    private readonly string _what;
    private readonly string? _reason;

    private ErasureRequest(JsonElement body)
    {
        _fields = new BodyFields(body, Fields);
        _generation = Id(GenerationId, "gen_");
        _key = _fields.OptionalText(KeyId, FieldLengths.Name);
        _project = Id(ProjectId, "proj_");
        _organization = Id(OrganizationId, "org_");
        _user = _fields.OptionalText(EndUser, MaxEndUser);
        _what = _fields.OneOf("what", ErasureRow.Scopes) ?? ErasureRow.All;
        _reason = _fields.Text("reason", MaxReason);
        if (_user is { Length: 0 }) _fields.Invalid(EndUser, "Must not be empty.");
        // The reason is kept, so it must not keep what is erased.
        if (_user is { Length: > 2 } && _reason?.Contains(_user, StringComparison.OrdinalIgnoreCase) == true)
            _fields.Invalid("reason", "Must not contain the end user: it is kept.");
        if (_key is not null && _reason is not null && TokenKeyId.Is(_key) && NamesSubject(_key, _reason))
            _fields.Invalid("reason", "Must not contain the subject of the token: it is kept.");
    }

    public static ErasureRequest Read(JsonElement body) => new(body);

    /// <summary>The erasure, if the caller may have it.</summary>
    /// <param name="connection">Reads organizations, projects and keys.</param>
    /// <param name="reach">The organizations that the caller administers.</param>
    /// <param name="time">The clock.</param>
    /// <param name="cancellationToken">Stops the reads.</param>
    /// <exception cref="GatewayErrorException">A field is invalid; the error lists all of them.</exception>
    public async Task<ErasureRow> ToRowAsync(
        System.Data.Common.DbConnection connection, AdminReach reach, TimeProvider time, CancellationToken cancellationToken)
    {
        var named = new[] { _generation, _key, _user, _user is null ? _project : null }.Count(value => value is not null);
        if (named != 1)
        {
            _fields.Invalid(
                new[] { (GenerationId, _generation), (KeyId, _key), (ProjectId, _project), (EndUser, _user) }
                    .LastOrDefault(field => field.Item2 is not null, (ProjectId, null)).Item1,
                $"Exactly one of {GenerationId}, {KeyId}, {ProjectId} and {EndUser} is required; {EndUser} also takes a {ProjectId} or an {OrganizationId}.");
        }
        if (_organization is not null && _user is null) _fields.Invalid(OrganizationId, $"Is only accepted together with {EndUser}.");
        if (_organization is not null && _project is not null) _fields.Invalid(OrganizationId, $"Is not accepted together with {ProjectId}.");
        _fields.ThrowIfInvalid();
        var selector = await SelectorAsync(connection, reach, cancellationToken);
        _fields.ThrowIfInvalid();
        return new ErasureRow
        {
            Id = Ids.New(ErasureRow.Prefix, time), Selector = selector, What = _what, Reason = _reason, CreatedAt = time.GetUtcNow(),
        };
    }

    private async Task<ErasureSelector> SelectorAsync(
        System.Data.Common.DbConnection connection, AdminReach reach, CancellationToken cancellationToken)
    {
        // Who administers one organization erases nothing of others, whatever the ids name.
        var only = reach.IsAll ? null : reach.Narrow(null);
        if (_generation is not null) return new ErasureSelector(ErasureKind.Generation, _generation, null, only);
        if (_key is not null)
        {
            var key = await KeyTable.FindAsync(connection, _key, cancellationToken);
            var owner = key is null ? null : await ProjectTable.FindAsync(connection, key.ProjectId, cancellationToken);
            // Owners may name keys that do not exist any more, and nobody stores those of tokens.
            if (!reach.IsAll && !TokenKeyId.Is(_key) && !reach.Sees(owner?.OrganizationId)) _fields.Invalid(KeyId, "There is no key with this id.");
            return new ErasureSelector(ErasureKind.Key, _key, key?.ProjectId, owner?.OrganizationId ?? only);
        }
        if (_project is not null)
        {
            var project = await ProjectTable.FindAsync(connection, _project, cancellationToken);
            // Owners may name projects that do not exist any more.
            if (!reach.IsAll && !reach.Sees(project?.OrganizationId)) _fields.Invalid(ProjectId, "There is no project with this id.");
            var organization = project?.OrganizationId ?? only;
            return _user is null ? new ErasureSelector(ErasureKind.Project, _project, _project, organization)
                : ErasureSelector.OfEndUser(_user, _project, organization);
        }
        if (_organization is null && reach.IsAll)
            _fields.Missing(OrganizationId);
        if (_organization is not null && !reach.Sees(_organization)) _fields.Invalid(OrganizationId, "There is no organization with this id.");
        return ErasureSelector.OfEndUser(_user!, null, _organization ?? only);
    }

    // Where the name of the issuer ends cannot be seen, as both parts may have underscores; so every end of the id counts.
    private static bool NamesSubject(string keyId, string reason)
    {
        for (var at = keyId.IndexOf('_', TokenKeyId.Prefix.Length); at >= 0 && keyId.Length - at > 3; at = keyId.IndexOf('_', at + 1))
        {
            if (reason.Contains(keyId[(at + 1)..], StringComparison.OrdinalIgnoreCase)) return true;
        }
        return false;
    }

    private string? Id(string name, string prefix)
    {
        var id = _fields.OptionalText(name, FieldLengths.Id);
        if (id is null || (id.StartsWith(prefix, StringComparison.Ordinal) && id.All(c => char.IsAsciiLetterOrDigit(c) || c is '_' or '-'))) return id;
        _fields.Invalid(name, $"Must be an id that starts with {prefix}.");
        return null;
    }
}
