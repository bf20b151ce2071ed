namespace Fairlead.Server.Failover;

/// <summary>The judgement of one response.</summary>
/// <param name="Passed">Whether it is what the case allows.</param>
/// <param name="Result"><c>text</c>, <c>error</c> or <c>wrong</c>.</param>
/// <param name="Detail">What happened; the code of a clear error.</param>
internal sealed record FailoverVerdict(bool Passed, string Result, string Detail)
{
    /// <summary>Judges a response.</summary>
    /// <param name="test">The case.</param>
    /// <param name="response">The response.</param>
    /// <param name="isStream">Whether it was streamed.</param>
    /// <param name="deployments">Deployments that may serve the model.</param>
    public static FailoverVerdict Of(FailoverCase test, FailoverResponse response, bool isStream, int deployments)
    {
        if (response.Model == SimulatedText.WrongModel)
            return Wrong($"the response names {SimulatedText.WrongModel}, which was not asked for");
        if (response.IsRight) return new(true, "text", "");
        if (!response.IsStartOfRight) return Wrong("the text is not the right one");
        if (response.Error is not { } code)
            return Wrong(response.HasEnd ? "the text is not complete, and there is no error" : "the response has no end");
        if (!test.Errors.Contains(code)) return Wrong($"the error {code} does not fit");
        var mustRecover = test.Recovery switch
        {
            FailoverRecovery.Always => true,
            FailoverRecovery.WithOtherDeployment => deployments > 1,
            FailoverRecovery.WithOtherDeploymentUnlessStreamed => deployments > 1 && !isStream,
            _ => false,
        };
        return mustRecover ? new(false, "error", $"{code}, although a deployment could have served the request") : new(true, "error", code);
    }

    /// <summary>A result that the case does not allow.</summary>
    public static FailoverVerdict Wrong(string detail) => new(false, "wrong", detail);
}
