using System.Diagnostics.Metrics;

namespace Fairlead.Limits.Budgets;

/// <summary>Metrics of leases. Thread-safe.</summary>
internal sealed class BudgetLeaseMetrics
{
    private readonly Counter<long> _acquires;

    public BudgetLeaseMetrics(IMeterFactory meters) =>
        _acquires = meters.Create("Fairlead").CreateCounter<long>(
            "fairlead.budget.leases", "{request}", "Requests for slices of budgets, by whether all were granted.");

    public void Acquired(bool isGranted) =>
        _acquires.Add(1, new KeyValuePair<string, object?>("result", isGranted ? "granted" : "exhausted"));
}
