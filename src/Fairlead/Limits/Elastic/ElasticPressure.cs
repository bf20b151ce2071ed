namespace Fairlead.Limits.Elastic;

/// <summary>
/// The pressure on one model, from which the levels of its classes follow. It rises while there is strain, and falls without. From 0 to 1
/// it shrinks the limits of bulk, from 1 to 2 those of standard, from 2 to 3 those of realtime; below 0 it grows those of all classes.
/// Not thread-safe.
/// </summary>
internal sealed class ElasticPressure
{
    /// <summary>Rise in each step with strain: ten steps shrink a class to its smallest.</summary>
    public const double Rise = 0.1;

    /// <summary>Fall in each step without strain: twenty steps bring a class back to its base.</summary>
    public const double Fall = 0.05;

    /// <summary>Growth in each step with room: a minute and a half to the largest.</summary>
    public const double Growth = 0.01;

    /// <summary>Steps without strain before the pressure falls.</summary>
    public const int Calm = 5;

    private const double Max = 3;

    private int _calm;

    /// <summary>-1 to 3.</summary>
    public double Value { get; private set; }

    /// <summary>Moves it by one step of a second.</summary>
    /// <param name="isStrained">Whether the model cannot take the calls that it gets.</param>
    /// <param name="hasRoom">Whether it could take more.</param>
    public void Step(bool isStrained, bool hasRoom)
    {
        if (isStrained)
        {
            _calm = 0;
            // What grew into free room goes at once.
            Value = Math.Min(Max, Math.Max(Value, 0) + Rise);
            return;
        }
        if (++_calm <= Calm) return;
        if (Value > 0) Value = Math.Max(0, Value - Fall);
        else if (hasRoom) Value = Math.Max(-1, Value - Growth);
        else Value = Math.Min(0, Value + Rise);
    }

    /// <summary>The level of a class, -1 to 1.</summary>
    /// <param name="rank">0 realtime, 1 standard, 2 bulk.</param>
    public double LevelOf(int rank) => Value <= 0 ? -Value : -Math.Clamp(Value - (2 - rank), 0, 1);
}
