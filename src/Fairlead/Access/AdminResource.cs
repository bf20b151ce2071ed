using System.Data.Common;
using System.Text.Json;
using Fairlead.Errors;
using Fairlead.Http;

namespace Fairlead.Access;

/// <summary>
/// What is special about one resource of the admin API: its names, fields, SQL and JSON. <see cref="AdminResourceEndpoints{TRow}"/> serves
/// it. Thread-safe.
/// </summary>
/// <param name="kind">The name of one resource, as in <c>object</c>.</param>
/// <param name="idPrefix">Prefix of its ids.</param>
internal abstract class AdminResource<TRow>(string kind, string idPrefix)
    where TRow : AdminRow
{
    public string Kind { get; } = kind;

    public string IdPrefix { get; } = idPrefix;

    /// <summary>
    /// Whether administrators of organizations see those in theirs; <see cref="OrganizationOfAsync"/> says which. Default false: the
    /// resource belongs to the installation.
    /// </summary>
    public virtual bool IsOfOrganizations => false;

    /// <summary>
    /// The organization that the row is in; null if it belongs to the installation, or if there is none with the id that it names.
    /// </summary>
    public virtual ValueTask<string?> OrganizationOfAsync(DbConnection connection, TRow row, CancellationToken cancellationToken) =>
        ValueTask.FromResult<string?>(null);

    /// <summary>Refuses a change that only those may make who see the whole installation. Default: nothing is refused.</summary>
    /// <param name="caller">The caller, who sees the row.</param>
    /// <param name="before">The row; null for a new one.</param>
    /// <param name="after">The row after the change; null if it is deleted.</param>
    public virtual void CheckRights(Caller caller, TRow? before, TRow? after)
    {
    }

    /// <summary>Names of the parameters that filter the list.</summary>
    public virtual string[] Filters => [];

    /// <summary>Fields of the body that creates one.</summary>
    public abstract FieldSet NewFields { get; }

    /// <summary>Fields of the body that changes one.</summary>
    public abstract FieldSet ChangeFields { get; }

    /// <summary>Whether a new one names a parent, which <see cref="CheckParentAsync"/> looks for. Default false.</summary>
    public virtual bool HasParent => false;

    /// <summary>A new row without id and times, which it gets when it is inserted. Incomplete if <paramref name="fields"/> has errors.</summary>
    public abstract TRow ReadNew(BodyFields fields);

    /// <summary>The requested change. It returns an equal row if it changes nothing.</summary>
    public abstract Func<TRow, TRow> ReadChange(BodyFields fields);

    /// <summary>Adds the error of a parent that does not exist.</summary>
    public virtual void AddParentError(BodyFields fields) => throw new NotSupportedException($"A {Kind} has no parent.");

    /// <summary>Adds an error to <paramref name="fields"/> if the parent of <paramref name="row"/> does not exist.</summary>
    public virtual Task CheckParentAsync(DbConnection connection, TRow row, BodyFields fields, CancellationToken cancellationToken) =>
        Task.CompletedTask;

    /// <summary>The organization that the row belongs to, for the audit; null if it belongs to none.</summary>
    public virtual string? OrganizationOf(TRow row) => null;

    /// <summary>The project that the row belongs to, for the audit; null if it belongs to none.</summary>
    public virtual string? ProjectOf(TRow row) => null;

    /// <summary>Why the row cannot be deleted, or null.</summary>
    public abstract Task<GatewayErrorException?> FindUseAsync(DbConnection connection, TRow row, CancellationToken cancellationToken);

    /// <summary>The rows of <paramref name="page"/> in the order of ids, and one more if there is a next page.</summary>
    /// <remarks>
    /// For a caller who sees one organization, the page has it as the filter <c>organization_id</c>, even if it is not among the
    /// <see cref="Filters"/>.
    /// </remarks>
    public abstract Task<List<TRow>> ListAsync(DbConnection connection, ListPage page, CancellationToken cancellationToken);

    public abstract Task<TRow?> FindAsync(DbConnection connection, string id, CancellationToken cancellationToken);

    public abstract Task InsertAsync(DbConnection connection, TRow row, CancellationToken cancellationToken);

    public abstract Task UpdateAsync(DbConnection connection, TRow row, CancellationToken cancellationToken);

    public abstract Task DeleteAsync(DbConnection connection, string id, CancellationToken cancellationToken);

    /// <summary>Writes the row as one JSON object.</summary>
    public void Write(Utf8JsonWriter json, TRow row)
    {
        json.WriteStartObject();
        json.WriteString("id", row.Id);
        json.WriteString("object", Kind);
        json.WriteString("name", row.Name);
        WriteFields(json, row);
        json.WriteTime("created_at", row.CreatedAt);
        json.WriteTime("updated_at", row.UpdatedAt);
        json.WriteEndObject();
    }

    /// <summary>Writes the fields that not every resource has.</summary>
    protected virtual void WriteFields(Utf8JsonWriter json, TRow row)
    {
    }
}
