namespace Fairlead.Scheduling;

/// <summary>Whether calls may go to a deployment at all, however many slots it has. Thread-safe.</summary>
internal interface IDeploymentAvailability
{
    /// <summary>Whether no call may go there now. No call waits for deployments that are all closed.</summary>
    /// <param name="deployment">Its name, <c>provider/upstream-model</c>.</param>
    bool IsClosed(string deployment);

    /// <summary>
    /// The time until a call that waits may get a slot there: zero for now, because it is not closed or its test is due;
    /// <see cref="TimeSpan.MaxValue"/> if only a change of its state ends that.
    /// </summary>
    /// <param name="deployment">Its name.</param>
    TimeSpan UntilServed(string deployment);
}
