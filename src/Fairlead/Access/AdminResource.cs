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
