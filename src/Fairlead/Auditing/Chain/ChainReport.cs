namespace Fairlead.Auditing.Chain;

/// <summary>What a verification found out about the chain of one node. For one thread.</summary>
internal sealed class ChainReport(string node)
{
    /// <summary>Further faults are only counted: the first ones say where to look.</summary>
    public const int MaxFaults = 20;

    private readonly List<ChainFault> _faults = [];

    public string Node => node;

    /// <summary>Number of the first record that was checked; 0 if there is none.</summary>
    public long First { get; set; }

    /// <summary>Number of the last record.</summary>
    public long Last { get; set; }

    /// <summary>Records that are there.</summary>
    public long Records { get; set; }

    /// <summary>Records that were removed by retention or erasure, as signed statements say.</summary>
    public long Removed { get; set; }

    /// <summary>Recorded contents that are there.</summary>
    public long Contents { get; set; }

    /// <summary>Recorded contents that were removed, as signed statements say, from records that are there.</summary>
    public long ContentsRemoved { get; set; }

    /// <summary>Signed statements about the chain that it fulfils: checkpoints, heads, exported checkpoints.</summary>
    public int Proofs { get; set; }

    /// <summary>Number of the last record that such a statement covers; 0 if there is none.</summary>
    public long LastProven { get; set; }

    /// <summary>The time of the latest record that a removed range had, in milliseconds since 1970; null without ranges.</summary>
    public long? RemovedUntil { get; set; }

    public int FaultCount { get; private set; }

    public bool IsWhole => FaultCount == 0;

    /// <summary>Whether signatures of trusted keys prove every record.</summary>
    public bool IsProven => IsWhole && Notes.Count == 0 && LastProven >= Last;

    /// <summary>The first faults in the order of the records; then those that are about none.</summary>
    public IReadOnlyList<ChainFault> Faults => [.. _faults.OrderBy(fault => fault.Sequence ?? long.MaxValue)];

    /// <summary>What is not proven although nothing is broken.</summary>
    public SortedSet<string> Notes { get; } = new(StringComparer.Ordinal);

    public void Fault(long? sequence, string problem)
    {
        FaultCount++;
        if (_faults.Count < MaxFaults) _faults.Add(new ChainFault(sequence, problem));
    }
}

/// <param name="Sequence">Number of the record; null if it is not about one.</param>
/// <param name="Problem">What is wrong, as the end of a sentence about the record.</param>
internal sealed record ChainFault(long? Sequence, string Problem);
