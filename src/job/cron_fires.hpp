#pragma once

#include <optional>

#include "schedctl/job/schedule.hpp"
#include "schedctl/job/zone.hpp"
#include "src/job/cron.hpp"

namespace schedctl::job {

/// A cron expression bound to a zone: readings of the wall clock turned into instants.
struct CronFires {
  CronExpr expr;
  ZonePtr zone;
  DstGap gap = DstGap::shift;
  DstFold fold = DstFold::first;

  std::optional<Time> next_after(Time t) const;
  FireSeries::Stretch count(Time after, Time through) const;
};

}  // namespace schedctl::job
