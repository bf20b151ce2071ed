namespace Fairlead.Routing;

/// <summary>
/// By which an attempt reports to the health of its deployment. An attempt that ends without a report, such as one whose client left, says
/// nothing about the deployment; it gives the ticket back like all others. The default value reports nothing.
/// </summary>
internal readonly struct HealthTicket(DeploymentHealth health, int period, bool isProbe = false)
{
    private readonly DeploymentHealth? _health = health;

    /// <summary>Whether the attempt tests an open deployment.</summary>
    public bool IsTest => DeploymentBreaker.IsTest(period);

    /// <summary>The first content of a stream has arrived.</summary>
    public void Responded() => _health?.Responded(period);

    /// <summary>The attempt ended as it should.</summary>
    public void Succeeded() => _health?.Succeeded(period, isProbe);

    /// <summary>Reports what a failed attempt says about the deployment.</summary>
    public void Ended(HealthVerdict verdict)
    {
        if (verdict == HealthVerdict.Failed) _health?.Failed(period, isProbe);
        else if (verdict == HealthVerdict.Works) Succeeded();
    }

    /// <summary>Reports how long the first content of a stream, or a whole response, took.</summary>
    public void Took(TimeSpan latency, bool isStream) => (isStream ? _health?.FirstToken : _health?.Response)?.Observe(latency);

    /// <summary>The attempt is over. Once.</summary>
    public void GiveBack() => _health?.GiveBack();
}
