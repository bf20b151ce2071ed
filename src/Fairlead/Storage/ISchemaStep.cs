namespace Fairlead.Storage;

/// <summary>
/// One change of the schema, applied once to every database. Slices register theirs as singletons; a step that was released is
/// never edited, its successor is a step of its own. Numbers: 1 to 99 access, 100 to 199 ledger and audit; a slice that comes
/// later takes the next hundred.
/// </summary>
internal interface ISchemaStep
{
    /// <summary>Position in the order of all steps; unique among them.</summary>
    int Version { get; }

    /// <summary>What it brings, in a few words; stands in <c>schema_version</c>.</summary>
    string Name { get; }

    /// <summary>One or more statements, run in one transaction with the note that they ran. They must not begin or end transactions.</summary>
    string Sql(SqlFlavour sql);
}
