using Fairlead.Access;
using Fairlead.Limits;
using Fairlead.Limits.Budgets;
using Fairlead.Storage;

namespace Fairlead.Tests.Limits.Budgets;

/// <summary>Jobs that hold money of the project of <see cref="BudgetWorld.Key"/>.</summary>
internal static class JobTransfers
{
    /// <summary>A transfer of an amount of one budget.</summary>
    public static HoldTransfer Of(string id, BudgetKey budget, long amount)
    {
        var (caller, model) = (LimitCalls.CallerOf(organizationId: "org_of_proj_1"), LimitCalls.ModelOf());
        var reservation = new TokenReservation(caller, model.Id, CallClasses.Standard, BudgetWorld.Now);
        return new HoldTransfer(id, reservation, caller, model, new LimitAmounts { Pico = amount }, new Dictionary<BudgetKey, long> { [budget] = amount });
    }

    /// <summary>Adds a job whose hold is in the given state.</summary>
    public static Task<int> AddJobAsync(IStorage storage, string id, long pico, int state, BudgetHolder? holder = null, string status = "queued") => storage.ExecuteAsync(
        """
        INSERT INTO generations (id, organization_id, project_id, key_id, request_id, dialect, endpoint, model, class_rank, status, created_at, available_at, runs, cancel_requested,
            result_status, request, context, hold_state, hold_model, hold_tokens, hold_pico, hold_node, hold_process)
        VALUES (@id, 'org_of_proj_1', 'proj_1', 'key_1', 'req_1', 'd', '/', 'alias', 1, @status, @at, @at, 0, 0, 0, @body, @body, @state, 'm', 5, @pico, @node, @process)
        """,
        [
            ("@id", id), ("@status", status), ("@at", BudgetWorld.Now), ("@body", "{}"u8.ToArray()), ("@state", state), ("@pico", pico), ("@node", holder?.Node),
            ("@process", holder?.Process),
        ],
        TestContext.Current.CancellationToken);
}
