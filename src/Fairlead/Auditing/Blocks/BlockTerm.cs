namespace Fairlead.Auditing.Blocks;

/// <summary>A property of a record that a search can ask for. The numbers are stored and are never reused.</summary>
internal enum BlockTerm : byte
{
    /// <summary><see cref="BlockTerms.GenerationType"/> or <see cref="BlockTerms.AdministrationType"/>; empty for a removed record.</summary>
    Type = 0,
    Organization = 1,
    Project = 2,
    Key = 3,
    Model = 4,
    Provider = 5,
    Outcome = 6,
    Code = 7,
    Class = 8,
    Dialect = 9,
}
