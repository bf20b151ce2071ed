namespace Fairlead.Storage;

/// <summary>
/// One change of the schema, applied once to every database. Slices register their steps as singletons. A released step is never edited; a
/// later change is another step. Numbers: 1 to 99 access, 100 to 199 ledger and audit; a new slice gets the next hundred.
/// </summary>
internal interface ISchemaStep
{
    /// <summary>Position in the order of all steps; unique among them.</summary>
    int Version { get; }

    /// <summary>What it adds, in a few words; stored in <c>schema_version</c>.</summary>
    string Name { get; }

    /// <summary>
    /// One or more statements, run in one transaction with the record of the step. They must not start or end transactions.
    /// </summary>
    string Sql(SqlFlavour sql);
}
