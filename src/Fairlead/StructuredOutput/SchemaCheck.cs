using System.Runtime.CompilerServices;

namespace Fairlead.StructuredOutput;

/// <summary>One value being held against a schema: what was found, and how much more may be spent on it.</summary>
/// <param name="most">Violations that are noted; more would help nobody.</param>
/// <param name="budget">Schemas tried at most: branches within branches grow faster than the text does.</param>
internal sealed class SchemaCheck(int most, int budget)
{
    public const int MostNoted = 20;

    /// <summary>The most that can be spent on one output, some tenths of a second.</summary>
    private const int MaxBudget = 2_000_000;

    /// <summary>Schemas within schemas: enough for the deepest document, and too few to fill a stack by one that only leads to itself.</summary>
    private const int MostDepth = 1000;

    private int _depth;
    private bool _isOver;

    public List<SchemaViolation> Violations { get; } = [];

    /// <summary>Schemas tried so far, and what else was counted.</summary>
    public int Steps { get; private set; }

    /// <summary>What may be spent on an output of so many bytes: more than any schema needs that does not multiply itself.</summary>
    public static int BudgetFor(int bytes) => (int)Math.Min(MaxBudget, 100_000 + (32L * bytes));

    /// <summary>Whether there is any use in going on.</summary>
    public bool Enter()
    {
        if (_depth >= MostDepth || !RuntimeHelpers.TryEnsureSufficientExecutionStack()) return Stop();
        if (!Spend(1) || Violations.Count >= most) return false;
        _depth++;
        return true;
    }

    public void Leave() => _depth--;

    /// <summary>Takes from the budget. False when it is used up.</summary>
    public bool Spend(int steps)
    {
        Steps = (int)Math.Min(int.MaxValue, (long)Steps + steps);
        return Steps <= budget || Stop();
    }

    /// <summary>Ends the check: the rest would take too long.</summary>
    public void GiveUp() => Spend(int.MaxValue);

    public void Add(OutputPlace? at, string detail)
    {
        if (Violations.Count < most) Violations.Add(new SchemaViolation(at?.Pointer() ?? "", detail));
    }

    /// <summary>For one branch of several, of which it is only known whether it fits.</summary>
    public SchemaCheck Trial() => new(1, budget) { Steps = Steps, _depth = _depth };

    /// <summary>Counts what a trial cost.</summary>
    public void Take(SchemaCheck trial) => Steps = trial.Steps;

    private bool Stop()
    {
        if (!_isOver) Add(null, "The output cannot be checked: the schema has too many ways to read it.");
        _isOver = true;
        return false;
    }
}
